"""People who are not there: accounts for load and demo, and captains and customers who act.

Only `accounts` touches the database. The rest speaks the public contract, over HTTP and sockets,
as phones do.
"""
