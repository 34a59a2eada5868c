"""What Django, REST framework and OpenAPI are set to; nothing here comes from the environment."""

INSTALLED_APPS = [
    "weelo.accounts.admin_app.AdminApp",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "weelo.accounts",
    "weelo.events",
    "weelo.cities",
    "transporters",
    "orders",
    "dispatch",
]

MIDDLEWARE = [
    "weelo.lib.csp.ContentSecurityPolicyMiddleware",
    "weelo.lib.requests.RequestMiddleware",
    "weelo.lib.limits.LimitFieldsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

_passwords = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_passwords}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_passwords}.CommonPasswordValidator"},
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["weelo.accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["weelo.lib.safe_json.SafeJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "weelo.lib.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "weelo.accounts.schema.RoleSchema",
    "EXCEPTION_HANDLER": "weelo.lib.problems.exception_handler",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Weelo",
    "DESCRIPTION": "On-demand trucks: search, confirm, accept, drive, deliver.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "OrderStatus": "orders.states.OrderStatus",
        "TripStatus": "orders.states.TripStatus",
        "TruckStatus": "orders.states.TruckStatus",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "weelo.lib.problems_schema.document_everywhere",
        "weelo.lib.bodies.document_texts",
    ],
}
