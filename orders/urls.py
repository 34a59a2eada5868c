"""Routes of search, orders, offers and trips, under /api/v1/."""

from django.urls import path

from orders import search_views, trip_views, views

urlpatterns = [
    *search_views.urlpatterns,
    path("orders", views.OrdersView.as_view()),
    path("orders/active", views.ActiveOrderView.as_view()),
    path("orders/<uuid:order_id>", views.OrderView.as_view()),
    path("orders/<uuid:order_id>/timeline", views.TimelineView.as_view()),
    path("orders/<uuid:order_id>/waves", views.WavesView.as_view()),
    path("orders/<uuid:order_id>/cancel", views.CancelOrderView.as_view(), name="order-cancel"),
    path(
        "orders/<uuid:order_id>/trucks/<uuid:truck_id>/cancel",
        views.CancelOrderView.as_view(),
        name="truck-cancel",
    ),
    path("offers", trip_views.OffersView.as_view()),
    path("offers/<uuid:offer_id>", trip_views.OfferView.as_view()),
    path("offers/<uuid:offer_id>/seen", trip_views.SeenView.as_view()),
    path("offers/<uuid:offer_id>/accept", trip_views.AcceptView.as_view()),
    path("offers/<uuid:offer_id>/decline", trip_views.DeclineView.as_view()),
    path("trips", trip_views.TripsView.as_view()),
    path("trips/<uuid:trip_id>", trip_views.TripView.as_view()),
    path("trips/<uuid:trip_id>/status", trip_views.StepView.as_view()),
    path("trips/<uuid:trip_id>/stops/<int:number>", trip_views.StopView.as_view()),
    path("trips/<uuid:trip_id>/give-back", trip_views.GiveBackView.as_view()),
    path("trips/<uuid:trip_id>/driver", trip_views.TripDriverView.as_view()),
    path("trips/<uuid:trip_id>/rating", views.RatingView.as_view()),
    path("trips/<uuid:trip_id>/dispute", views.DisputeView.as_view()),
]
