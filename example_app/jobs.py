"""The shop's background jobs, and their timetable."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import DateTime, func, select, sql

from example_app import model
from example_app.model import (
    deletions_table,
    orders_table,
    products_table,
    ranking_table,
    stock_table,
    utc_now,
    visit_identity_table,
    visits_table,
)
from tgscheduler import config
from tgscheduler.scheduler import add_interval_task, add_single_task, add_weekday_task

log = logging.getLogger("example_app.jobs")

#: Maximum age of orders that count for the ranking.
RANKED = timedelta(days=7)

#: Maximum age of the deletions on record.
SHOWN = timedelta(days=1)

_expired_visits = sql.text("expiry < :now").bindparams(sql.bindparam("now", type_=DateTime))
_orphaned_identities = sql.text("not exists(select * from visit where visit.visit_key = visit_identity.visit_key)")


def generate_product_ranking() -> None:
    """Rank the products by what was sold in the last week."""
    now = utc_now()
    sold = func.coalesce(func.sum(orders_table.c.quantity), 0)
    recent = (orders_table.c.product_id == products_table.c.product_id) & (orders_table.c.ordered_at >= now - RANKED)
    best_first = (
        select(products_table.c.product_id, sold.label("sold"))
        .select_from(products_table.outerjoin(orders_table, recent))
        .group_by(products_table.c.product_id, products_table.c.name)
        .order_by(sold.desc(), products_table.c.name)
    )
    with model.begin() as connection:
        ranking = [
            {"product_id": row.product_id, "position": position, "sold": row.sold, "ranked_at": now}
            for position, row in enumerate(connection.execute(best_first), 1)
        ]
        connection.execute(ranking_table.delete())
        if ranking:
            connection.execute(ranking_table.insert(), ranking)
    log.info("Ranked %d products", len(ranking))


def synchronize_stock(since: Callable[[], datetime] | None = None) -> None:
    """Count the stock of products that were ordered since the moment that ``since()`` returns (None: of all)."""
    orders = orders_table
    sold = (
        select(func.coalesce(func.sum(orders.c.quantity), 0))
        .where(orders.c.product_id == stock_table.c.product_id)
        .scalar_subquery()
    )
    count = stock_table.update().values(on_hand=stock_table.c.delivered - sold, counted_at=utc_now())
    if since is not None:
        ordered = select(orders.c.product_id).where(orders.c.ordered_at >= since())
        count = count.where(stock_table.c.product_id.in_(ordered))
    with model.begin() as connection:
        counted = connection.execute(count).rowcount
    log.info("Counted the stock of %d products", counted)


def delete_expired_visits() -> None:
    """Delete expired visits, and identities without a visit, from the database."""
    log.info("Deleting expired visits from database...")
    now = utc_now()
    with model.begin() as connection:
        visits = connection.execute(visits_table.delete().where(_expired_visits), {"now": now}).rowcount
        identities = connection.execute(visit_identity_table.delete().where(_orphaned_identities)).rowcount
        connection.execute(deletions_table.delete().where(deletions_table.c.deleted_at < now - SHOWN))
        if visits or identities:
            connection.execute(deletions_table.insert().values(deleted_at=now, visits=visits, identities=identities))


def catch_up() -> None:
    """Do at the start what was not done while the server was stopped."""
    generate_product_ranking()
    synchronize_stock()


def schedule() -> None:
    """Schedule the jobs; called at each start of the server."""
    if config.get("tg.scheduler"):
        log.info("Scheduling background jobs...")
        stock_interval = config.get("example.stock_interval")
        add_single_task(action=catch_up, taskname="catch up")
        add_weekday_task(
            action=generate_product_ranking, taskname="product ranking", weekdays=range(1, 8), timeonday=(0)
        )
        add_interval_task(
            action=synchronize_stock,
            taskname="stock",
            args=[lambda: utc_now() - timedelta(seconds=max(120, 2 * stock_interval))],
            initialdelay=stock_interval,
            interval=stock_interval,
        )
        add_interval_task(
            action=delete_expired_visits, taskname="expired visits", interval=config.get("example.visits_interval")
        )
    else:
        log.warning("Scheduler not activated!")
