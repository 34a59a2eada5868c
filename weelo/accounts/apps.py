from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "weelo.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from weelo.accounts import schema  # noqa: F401, PLC0415  (drf-spectacular finds what is imported)
