"""Seeds that have failed, each with what was wrong. They stay, though a change of the worlds gives them other stories:
what each has found is also proved by a test of its own, or by the invariant that it broke."""

from collections.abc import Mapping
from typing import Final

REGRESSIONS: Final[Mapping[int, str]] = {
    0: "the failure of a reference that nobody wanted any more was kept for 28 days",
    7: "a group that was dissolved after its create was lost stayed in the target",
    23: "who was disabled after a create that was lost kept an active account",
    34: "the failures of a deleted group's references were kept",
    69: "a stalled process made every account a second time",
    70: "a conflict with an account that an earlier attempt had made was taken for somebody else's",
    134: "a group that was renamed after its create was lost was made a second time",
    142: "a member that left a group which was about to be deleted stayed when the group did",
    268: "a stalled process wrote down creates that it was not allowed to send",
    382: "a manager that the target had lost was not set again by a restart",
    654: "a member whose addition took effect unnoticed, and who left, stayed",
    1498: "a manager was not set, because somebody else's account had the same one",
    40428: "a page of a proxy that says 200 was taken for a membership that was written",
    2382: "an ambiguous answer made the engine forget that a create had been sent",
    200090: "a repair of drift was not held back by the guard against deletions",
    200176: "a leaver whose account was gone was sent a manager in every cycle",
    200209: "in mode entra who got a new account never became a member of the groups of the old one",
    300121: "an account that was deleted was remembered with the manager that it had had",
    300140: "a deletion that was allowed with a plan, and refused because it had changed, was sent by the next cycle",
    400182: "a plan that repairs drift showed groups without members where they are written as a whole",
    401115: "what a plan no longer held back was held back when it was carried out",
    153: "who was purged after a create that was lost was deleted without being counted",
    802836: "whoever was deleted in the application stayed the manager of others until a restart",
    900168: "a deletion that a plan named was refused after a death, because it had been carried out",
    700270: "a list that leaves attributes out was believed when its first object had none",
    700423: "what one of two attempts had made was not found, because it had not the names that both had sent",
    701559: "where nothing can be filtered, what a create of unknown outcome had made was not looked for",
    901096: "whose matched account could not be told whether it was updated kept it when they left",
    901356: "an account that was gone was sent a manager by a plan, and by every cycle",
    358: "a member whose addition was refused after a try that took effect unnoticed, and who left, stayed",
    2145: "the name of a lost create that somebody else has by now kept its user without an account",
    1138: "an account that was gone when its manager was to be set was sent it in every cycle and never looked at",
    200062: "the members of a group that was matched were taken for somebody else's change until it was taken over",
    200141: "that a plan names no request for members that are held back was known only of whole objects",
    200610: "who waited for the next try at a name that had become free was expected to have an account at once",
    201894: "as 200610, with an account that only an initial cycle had found",
}
