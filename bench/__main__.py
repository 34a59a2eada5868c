"""`python -m bench expiry` runs one measurement on servers of its own, which vanish afterwards."""

import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from weelo.lib import embedded


def main(name):
    data = Path(tempfile.mkdtemp(prefix="weelo-bench-"))
    servers = embedded.start(data, durable=True)
    try:
        os.environ |= {
            "WEELO_ENV": "test",
            "DATA": str(data),
            "DATABASE_URL": servers.addresses.database_url,
            "REDIS_URL": servers.addresses.redis_url,
            "DJANGO_SETTINGS_MODULE": "weelo.settings",
            "LOG_LEVEL": "WARNING",
            "REDIS_TIMEOUT": "30",  # a busy machine must not turn to the twin unasked
        }
        import django
        from django.conf import settings
        from django.core.management import call_command

        # Nor may a busy machine end a session that it kept waiting itself.
        settings.DATABASES["default"]["OPTIONS"]["options"] += (
            " -c idle_in_transaction_session_timeout=0 -c lock_timeout=0 -c statement_timeout=0"
        )
        django.setup()
        call_command("migrate", verbosity=0)
        return import_module(f"bench.{name}").main()
    finally:
        servers.leave()
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
