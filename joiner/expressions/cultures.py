"""Names of cultures: language, script and region (RFC 4646). Only what .NET knows as one is taken."""

import re
from typing import Final

from joiner.expressions.errors import EvaluationError

NAME: Final = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?", re.IGNORECASE | re.ASCII)
LANGUAGES: Final = frozenset(
    re.findall(
        r"\w+",
        """
        aa ab af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cs cu cv cy da de dv dz ee el
        en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io
        is it iu iw ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml
        mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd
        se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve
        vi vo wa wo xh yi yo za zh zu agq arn asa ast bas bem bez bin brx byn ceb cgg chr ckb dav dje dsb dua dyo
        ebu ewo fil fur gsw guz haw hsb ibb jgo jmc kab kam kde kea khq kln kok ksb ksf ksh lag lkt lrc luo luy
        mas mer mfe mgh mgo moh mua mzn naq nds nmg nnh nqo nso nus nyn pap prs prg quc quz qut rof rwk sah saq
        sat sbp seh ses shi sma smj smn sms ssy swc syr teo tig tzm vai vun wae wal xog yav yue zgh
        """,
    )
)
SCRIPTS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        adlm arab armn beng cans cher cyrl deva ethi geor grek gujr guru hang hans hant hebr hira jpan kana khmr
        knda kore laoo latn limb mlym mong mtei mymr nkoo olck orya sinh syrc taml telu tfng thaa thai tibt vaii
        yiii
        """,
    )
)
REGIONS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw
        by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et fi
        fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in
        io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me
        mf mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf
        pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv
        sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug um us uy uz va vc ve vg vi vn vu wf ws xk
        ye yt za zm zw 001 029 150 419
        """,
    )
)


def language_of(culture: str) -> str:
    """The language of a culture, for example `tr` of `tr-TR`; "" is the invariant one. Raises EvaluationError."""
    if not culture:
        return ""
    match = NAME.fullmatch(culture)
    if match is not None:
        language, script, region = (part and part.lower() for part in match.groups())
        if language in LANGUAGES and script in {None, *SCRIPTS} and region in {None, *REGIONS}:
            return str(language)
    raise EvaluationError(f"'{culture}' is not a culture: one is named like en, en-US or zh-Hant-TW")
