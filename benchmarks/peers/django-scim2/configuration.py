"""Settings and addresses of a Django project that has nothing but django-scim2."""

import os

from django.urls import include, path

DEBUG = False
SECRET_KEY = os.environ["SCIM_TOKEN"]
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "configuration"
INSTALLED_APPS = ["accounts", "django_scim"]
MIDDLEWARE = ["accounts.scim.authenticate"]
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["PGPORT"],
        "NAME": "postgres",
        "USER": os.environ["PGUSER"],
        "PASSWORD": os.environ["PGPASSWORD"],
        "CONN_MAX_AGE": None,
    }
}
SCIM_SERVICE_PROVIDER = {
    "NETLOC": "127.0.0.1",
    "SCHEME": "http",
    "AUTHENTICATION_SCHEMES": [{"type": "oauthbearertoken", "name": "token", "description": "a bearer token"}],
    "GROUP_MODEL": "accounts.models.Group",
    "USER_FILTER_PARSER": "accounts.scim.FilterByExternalId",
}

urlpatterns = [path("scim/v2/", include("django_scim.urls"))]
