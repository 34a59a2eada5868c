"""What the admin's pages share: rows that the verbs write and people only look at."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    ModelAdmin, TabularInline = admin.ModelAdmin, admin.TabularInline


class LookOnly:
    """Nothing is added, changed or deleted by hand; pages and inlines alike."""

    def has_add_permission(self, *_args: Any) -> bool:
        return False

    def has_change_permission(self, *_args: Any) -> bool:
        return False

    def has_delete_permission(self, *_args: Any) -> bool:
        return False


class ReadOnly(LookOnly, ModelAdmin):
    """A list to look at; long ones are not counted in full."""

    show_full_result_count = False
