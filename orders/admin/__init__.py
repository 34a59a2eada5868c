"""Dispatchers' pages for orders and all that belongs to them: to look at, and to intervene.

Nothing is added, edited or deleted here. What a dispatcher may do stands in `interventions`, as
buttons on the pages of orders, trucks, trips and disputes.
"""

from orders.admin import order, parts

__all__ = ["order", "parts"]
