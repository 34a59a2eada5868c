"""All settings of Weelo, from the environment; `.env.example` explains the same names.

Times are in seconds and distances in metres unless a name says otherwise.
"""

import os
from datetime import timedelta
from pathlib import Path

from weelo import refusals
from weelo.frameworks import (  # noqa: F401
    AUTH_PASSWORD_VALIDATORS,
    INSTALLED_APPS,
    MIDDLEWARE,
    REST_FRAMEWORK,
    SPECTACULAR_SETTINGS,
)
from weelo.lib import addresses, embedded, service_account
from weelo.lib.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ, strict=os.environ.get("WEELO_ENV") == "production")

WEELO_ENV = env.text(
    "WEELO_ENV",
    "demo",
    "What this installation is: demo (conveniences on), test, or production (refuses them).",
    one_of=("demo", "test", "production"),
)
PRODUCTION = WEELO_ENV == "production"
DEBUG = False

# --- Where it runs -------------------------------------------------------------------------

PORT = env.whole("PORT", 8000, "Port of the HTTP API; sockets live on the next one.", most=65534)
LISTEN = env.text("LISTEN", "127.0.0.1", "Address the services listen on; 0.0.0.0: all.")
HTTP_WORKERS = env.whole("HTTP_WORKERS", 2, "Processes of the http service.", least=1)
HTTP_THREADS = env.whole("HTTP_THREADS", 4, "Threads of each http process.", least=1)
LIVE_WORKERS = env.whole("LIVE_WORKERS", 1, "Processes of the live service.", least=1)
LIVE_THREADS = env.whole(
    "LIVE_THREADS", 8, "Threads of each live process that run commands and hellos.", least=1
)
# How often each service runs, for the sum of connections that PostgreSQL must have.
COPIES = {
    "http": env.whole("HTTP_COPIES", 1, "Containers that run the http service.", least=1),
    "live": env.whole("LIVE_COPIES", 1, "Containers that run the live service.", least=1),
    "loop": env.whole("LOOP_COPIES", 1, "Containers that run the dispatch loop.", least=1),
    "worker": env.whole("WORKER_COPIES", 1, "Containers that run a Celery worker.", least=1),
}
SIMULATE = env.flag(
    "SIMULATE", True, "Whether `make run` also drives a few simulated captains.", demo=True
)
DATA = BASE_DIR / env.text("DATA", ".data", "Folder of the embedded servers and the demo's files.")
WEELO_PROCESS = env.text(
    "WEELO_PROCESS",
    "command",
    "Which kind of process this is; decides its limits at the database.",
    one_of=("http", "live", "loop", "worker", "command"),
)
PUBLIC_URL = env.url(
    "PUBLIC_URL",
    f"http://127.0.0.1:{PORT}",
    "Where phones reach the HTTP API.",
    ("https", "http"),
    required=True,
    example="https://weelo.example",
)
SOCKET_URL = env.url(
    "SOCKET_URL",
    f"ws://127.0.0.1:{PORT + 1}",
    "Where phones reach the sockets; the same origin as PUBLIC_URL behind a proxy.",
    ("wss", "ws"),
    required=True,
    example="wss://weelo.example",
)
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS",
    ["127.0.0.1", "localhost", "[::1]"],
    "Host names this service answers to.",
    required=True,
    example="weelo.example",
)
ALLOWED_ORIGINS = env.words(
    "ALLOWED_ORIGINS",
    [PUBLIC_URL, f"http://localhost:{PORT}"],
    "Origins whose pages may open sockets; native apps send none.",
    follows=True,
)
COMMIT = env.text("WEELO_COMMIT", "", "Commit that /readyz tells; empty: asked of git.")
PROXIES = env.whole(
    "PROXIES", 0, "Reverse proxies in front, for the client's address in X-Forwarded-For.", most=9
)

SECRET_KEY = env.text(
    "SECRET_KEY",
    "",
    "Signs tokens and quotes; at least 50 characters.",
    secret=True,
    required=True,
    example="<what `python -c 'import secrets; print(secrets.token_urlsafe(50))'` prints>",
)
if not SECRET_KEY and not PRODUCTION:
    SECRET_KEY = embedded.secret(DATA)

# --- PostgreSQL, the single source of truth ---------------------------------------------------

_running = None if PRODUCTION else embedded.running(DATA)
DATABASE_URL = env.parsed(
    "DATABASE_URL",
    _running.database_url if _running else "",
    "PostgreSQL, such as postgresql://weelo:secret@db:5432/weelo; empty: the embedded server.",
    addresses.postgres,
    secret=True,
    required=True,
    example="postgresql://weelo:secret@db:5432/weelo",
)
DATABASE_PORT = env.whole(
    "DATABASE_PORT",
    0,
    "TCP port of the embedded PostgreSQL; 0: its Unix socket only.",
    most=65535,
    demo=True,
)
_statement_timeout = "30s" if WEELO_PROCESS in ("loop", "worker", "command") else "3s"
# A migration thinks between its statements; on a busy machine for longer than 5 s.
_idle_timeout = "60s" if WEELO_PROCESS == "command" else "5s"
_database = addresses.postgres(DATABASE_URL)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.get("dbname", "weelo"),
        "USER": _database.get("user", ""),
        "PASSWORD": _database.get("password", ""),
        "HOST": _database.get("host", ""),
        "PORT": _database.get("port", ""),
        # Every process has a fixed set of threads, and each keeps its connection: a pool waits a
        # second and more after each broken one.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": env.flag(
            "PGBOUNCER", False, "Whether PgBouncer (transaction mode) stands in front."
        ),
        "OPTIONS": {
            "connect_timeout": 3,
            "application_name": f"weelo-{WEELO_PROCESS}",
            "options": f"-c lock_timeout=1s -c statement_timeout={_statement_timeout}"
            f" -c idle_in_transaction_session_timeout={_idle_timeout}",
        },
    }
}

# --- Redis or Valkey, a fast mirror that may vanish -----------------------------------------

REDIS_URL = env.url(
    "REDIS_URL",
    _running.redis_url if _running else "",
    "Redis or Valkey, such as redis://cache:6379/0; empty: the embedded server.",
    ("redis", "rediss", "unix"),
    secret=True,
    required=True,
    example="redis://cache:6379/0",
)
REDIS_PORT = env.whole(
    "REDIS_PORT",
    0,
    "TCP port of the embedded Valkey; 0: its Unix socket only.",
    most=65535,
    demo=True,
)
REDIS_TIMEOUT = env.number("REDIS_TIMEOUT", 0.2, "Seconds one Redis call may take.", least=0.01)
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "TIMEOUT": 300,
        "KEY_PREFIX": "cache",
        "OPTIONS": {
            "SOCKET_TIMEOUT": REDIS_TIMEOUT,
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT,
            "CONNECTION_POOL_CLASS": "weelo.lib.redis.Pool",
            "CONNECTION_POOL_KWARGS": {"max_connections": 50},
        },
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "live"},
    }
}

# --- Celery: the net below the dispatch loop ----------------------------------------------

CELERY_BROKER_URL = addresses.celery_broker(REDIS_URL)
CELERY_WORKER_CONCURRENCY = env.whole(
    "WORKER_THREADS", 2, "Threads of each Celery worker.", least=1
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "weelo"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
RECONCILE_EVERY = env.whole("RECONCILE_EVERY", 120, "Seconds between reconciliations.", least=1)
SWEEP_EVERY = env.whole("SWEEP_EVERY", 10, "Seconds between Celery's expiry sweeps.", least=1)

# --- The rules of dispatch that are settings ----------------------------------------------

ORDER_TTL = timedelta(
    seconds=env.whole("ORDER_TTL", 60, "Seconds an order seeks trucks.", least=1, most=3600)
)
PICKUP_SLA = timedelta(
    seconds=env.whole(
        "PICKUP_SLA",
        2700,
        "Seconds from accept to arrival at the pickup, after which a dispatcher is told.",
        least=1,
    )
)
POSITION_TTL = timedelta(
    seconds=env.whole("POSITION_TTL", 300, "Seconds after which a position is stale.", least=5)
)
WAKE_AFTER = timedelta(
    seconds=env.whole(
        "WAKE_AFTER", 240, "Seconds of silence after which an online captain is woken.", least=1
    )
)
QUOTE_TTL = timedelta(seconds=env.whole("QUOTE_TTL", 300, "Seconds a quote holds.", least=1))
ROAD_FACTOR = env.number(
    "ROAD_FACTOR", 1.4, "Kilometres by road per great-circle kilometre.", least=1, most=5
)

# --- Limits ---------------------------------------------------------------------------------

LIMIT_CUSTOMER = env.whole("LIMIT_CUSTOMER", 300, "Calls per customer in any 60 s.", least=1)
LIMIT_CAPTAIN = env.whole("LIMIT_CAPTAIN", 500, "Calls per captain in any 60 s.", least=1)
LIMIT_ORDERS = env.whole("LIMIT_ORDERS", 5, "Orders made per customer in any 60 s.", least=1)
LIMIT_OTP_ADDRESS = env.whole("LIMIT_OTP_ADDRESS", 300, "Codes per address and hour.", least=1)
LIMIT_SEARCH_ADDRESS = env.whole(
    "LIMIT_SEARCH_ADDRESS", 600, "Anonymous searches per address and minute.", least=1
)
LIMIT_ADMIN_ADDRESS = env.whole("LIMIT_ADMIN_ADDRESS", 15, "Admin tries per IP, 15 min.", least=1)
LIMIT_ADMIN_ACCOUNT = env.whole("LIMIT_ADMIN_ACCOUNT", 20, "Admin tries per name, 15 min", least=1)
OTP_PER_HOUR = env.whole("OTP_PER_HOUR", 5, "Codes per phone and hour.", least=1)
OTP_PER_DAY = env.whole("OTP_PER_DAY", 10, "Codes per phone and day.", least=1)
OTP_PREFIX_PER_HOUR = env.whole(
    "OTP_PREFIX_PER_HOUR",
    200,
    "Codes per number prefix (all but the last 4 digits) and hour.",
    least=1,
)
SMS_PER_HOUR = env.whole("SMS_PER_HOUR", 20000, "Codes in all per hour, the SMS budget.", least=1)
BODY_LIMIT = 64 * 1024
FRAME_LIMIT = 16 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_LIMIT

# --- Identity --------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
ACCESS_TTL = timedelta(seconds=env.whole("ACCESS_TTL", 900, "Seconds an access token holds."))
REFRESH_TTL = timedelta(days=env.whole("REFRESH_TTL_DAYS", 60, "Days a session lives unused."))
OTP_TTL = timedelta(seconds=300)
OTP_RESEND = timedelta(seconds=30)
COUNTRIES = env.words("COUNTRIES", ["IN"], "Countries whose phones may sign in (ISO 3166).")
SMS_BACKEND = env.text(
    "SMS_BACKEND",
    "file",
    "How SMS leave: console, file (sms.jsonl in DATA) or http.",
    one_of=("console", "file", "http"),
    required=True,
    example="http",
)
SMS_HTTP_URL = env.url(
    "SMS_HTTP_URL",
    "",
    "The SMS gateway's address (backend http).",
    ("https", "http"),
    required=True,
    example="https://sms.example/send",
)
SMS_HTTP_BODY = env.json(
    "SMS_HTTP_BODY",
    '{"to": "{to}", "text": "{text}"}',
    "The gateway's JSON body; fills in {to} {text} {code} {template_id} {entity_id} {header}.",
)
SMS_HTTP_TOKEN = env.text("SMS_HTTP_TOKEN", "", "Bearer token of the SMS gateway.", secret=True)
SMS_DLT_ENTITY_ID = env.text("SMS_DLT_ENTITY_ID", "", "India's DLT entity id.")
SMS_DLT_HEADER = env.text("SMS_DLT_HEADER", "", "India's DLT header (sender).")
SMS_DLT_TEMPLATE_ID = env.text("SMS_DLT_TEMPLATE_ID", "", "India's DLT template id for codes.")
SMS_DLT_DROP_TEMPLATE_ID = env.text(
    "SMS_DLT_DROP_TEMPLATE_ID", "", "India's DLT template id for the receiver's drop code."
)
FIREBASE_PROJECT = env.text("FIREBASE_PROJECT", "", "Firebase project of phone sign-in.")
FCM_CREDENTIALS = env.text(
    "FCM_CREDENTIALS",
    "",
    "Sender of pushes: a service account, as JSON or path; empty: logged.",
    secret=True,
    example="/run/secrets/fcm.json",
    look=lambda given: given and service_account.load(given),
)
FCM_URL = env.url(
    "FCM_URL", "https://fcm.googleapis.com", "Where pushes are sent.", ("https", "http")
)

# --- Django ----------------------------------------------------------------------------------

APPEND_SLASH = False
ROOT_URLCONF = "weelo.urls"
WSGI_APPLICATION = "weelo.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
# `collectstatic` fills it when the image is built; elsewhere files are found where they lie.
_collected = BASE_DIR / "static-root"
STATIC_ROOT = _collected if _collected.exists() else None
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-in"
LOGIN_URL = "admin:login"

# --- Security, as `check --deploy` asks ----------------------------------------------------

# Only the admin has cookies: phones send tokens.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "weelo_admin", "weelo_admin_form"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = "/admin/"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_AGE = env.whole("ADMIN_SESSION", 28800, "Seconds an admin sign-in holds.", least=60)
ADMIN_TOTP = env.text(
    "ADMIN_TOTP",
    "optional",
    "Authenticator codes in the admin: optional (asked of who enrolled one) or required.",
    one_of=("optional", "required"),
)
OTP_TOTP_ISSUER = "Weelo"
SSL_REDIRECT = env.flag(
    "SSL_REDIRECT", True, "Whether to answer http with a redirect to https (production only)."
)
SECURE_SSL_REDIRECT = PRODUCTION and SSL_REDIRECT
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PROXIES else None
SECURE_HSTS_SECONDS = 31536000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
CSRF_TRUSTED_ORIGINS = [o for o in ALLOWED_ORIGINS if o.startswith("http")]
X_FRAME_OPTIONS = "DENY"

# --- Logs -----------------------------------------------------------------------------------

LOG_LEVEL = env.text(
    "LOG_LEVEL", "INFO", "Least level that is logged.", one_of=("DEBUG", "INFO", "WARNING", "ERROR")
)
LOG_FORMAT = env.text(
    "LOG_FORMAT",
    "json" if PRODUCTION else "console",
    "How log lines look: console for people, json for machines (production's default).",
    one_of=("console", "json"),
    follows=True,
)
LOGGING_CONFIG = "weelo.lib.logs.configure"
LOGGING = {"level": LOG_LEVEL, "format": LOG_FORMAT}

_faults = refusals.everywhere(env.values)
if PRODUCTION:
    _optimized = {} if __debug__ else {"PYTHONOPTIMIZE": "1"}
    _faults += refusals.in_production(env.values, {**os.environ, **_optimized})
env.refuse(_faults)
