"""The shop's tables, on SQLAlchemy 2, in whatever database ``example.database`` names.

::

    products --< orders          stock: what was delivered, less what was ordered
    ranking                      the products by what was sold, as of ranked_at
    visit --- visit_identity     who looks at the shop; expired ones are deleted
    deletions                    what was deleted, and when

Moments are in UTC.
"""

import logging
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    create_engine,
    func,
    select,
)

log = logging.getLogger("example_app.model")

metadata = MetaData()

products_table = Table(
    "products",
    metadata,
    Column("product_id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
)

orders_table = Table(
    "orders",
    metadata,
    Column("order_id", Integer, primary_key=True),
    Column("product_id", ForeignKey("products.product_id"), nullable=False, index=True),
    Column("quantity", Integer, nullable=False),
    Column("ordered_at", DateTime, nullable=False, index=True),
)

stock_table = Table(
    "stock",
    metadata,
    Column("product_id", ForeignKey("products.product_id"), primary_key=True),
    Column("delivered", Integer, nullable=False),
    Column("on_hand", Integer),  # None until it is counted
    Column("counted_at", DateTime),
)

ranking_table = Table(
    "ranking",
    metadata,
    Column("product_id", ForeignKey("products.product_id"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("sold", Integer, nullable=False),
    Column("ranked_at", DateTime, nullable=False),
)

visits_table = Table(
    "visit",
    metadata,
    Column("visit_key", String(40), primary_key=True),
    Column("created", DateTime, nullable=False),
    Column("expiry", DateTime, nullable=False, index=True),
)

visit_identity_table = Table(
    "visit_identity",
    metadata,
    Column("visit_key", String(40), primary_key=True),
    Column("user_id", Integer, nullable=False),
)

deletions_table = Table(
    "deletions",
    metadata,
    Column("deletion_id", Integer, primary_key=True),
    Column("deleted_at", DateTime, nullable=False, index=True),
    Column("visits", Integer, nullable=False),
    Column("identities", Integer, nullable=False),
)

#: name, delivered, ordered a day for the last eight days
_SAMPLES = [
    ("Oak chair", 120, (2, 1, 0, 3, 1, 2, 4, 40)),
    ("Walnut table", 40, (0, 1, 0, 0, 1, 0, 2, 0)),
    ("Brass lamp", 200, (5, 7, 4, 6, 3, 8, 5, 0)),
    ("Wool blanket", 90, (1, 0, 2, 2, 4, 1, 3, 0)),
    ("Clay vase", 60, (0, 0, 1, 0, 0, 1, 0, 0)),
    ("Linen curtain", 75, (3, 2, 2, 1, 3, 0, 1, 0)),
]
_SAMPLE_VISITS = 25

_engine: Engine | None = None


def utc_now() -> datetime:
    """Return the present moment in UTC, without a zone, as all databases store it."""
    return datetime.now(UTC).replace(tzinfo=None)


def open_database(url: str) -> None:
    """Use the database ``url``; create the tables, and sample data if there is none."""
    global _engine
    _engine = create_engine(url)
    metadata.create_all(_engine)
    with begin() as connection:
        if not connection.scalar(select(func.count()).select_from(products_table)):
            _add_samples(connection)
    log.info("Using the database %s", _engine.url.render_as_string(hide_password=True))


def close_database() -> None:
    """Close all connections."""
    if _engine is not None:
        _engine.dispose()


def begin() -> AbstractContextManager[Connection]:
    """Return a connection with a transaction begun: committed at the end of the block, undone by an exception."""
    if _engine is None:
        raise RuntimeError("the database is not open; open_database(url) comes first")
    return _engine.begin()


def record_visit(timeout: float) -> None:
    """Record a visit that expires in ``timeout`` seconds."""
    with begin() as connection:
        _add_visits(connection, 1, utc_now(), timeout)


def order(product_id: int, quantity: int = 1) -> bool:
    """Order a product; return whether it exists."""
    with begin() as connection:
        known = connection.scalar(
            select(func.count()).select_from(products_table).where(products_table.c.product_id == product_id)
        )
        if known:
            connection.execute(
                orders_table.insert().values(product_id=product_id, quantity=quantity, ordered_at=utc_now())
            )
        return bool(known)


def ranking() -> Sequence[Row]:
    """Return the ranking: position, product_id, name, sold, ranked_at, on_hand, counted_at."""
    with begin() as connection:
        return connection.execute(
            select(ranking_table, products_table.c.name, stock_table.c.on_hand, stock_table.c.counted_at)
            .join(products_table, products_table.c.product_id == ranking_table.c.product_id)
            .outerjoin(stock_table, stock_table.c.product_id == ranking_table.c.product_id)
            .order_by(ranking_table.c.position)
        ).all()


def visits() -> int:
    """Return the number of visits."""
    with begin() as connection:
        return connection.scalar(select(func.count()).select_from(visits_table)) or 0


def deletions(limit: int) -> tuple[int, int, Sequence[Row]]:
    """Return the numbers of visits and of identities deleted in the last day, and the last deletions."""
    columns = deletions_table.c
    with begin() as connection:
        visits, identities = connection.execute(
            select(func.coalesce(func.sum(columns.visits), 0), func.coalesce(func.sum(columns.identities), 0))
        ).one()
        newest_first = select(deletions_table).order_by(columns.deleted_at.desc(), columns.deletion_id.desc())
        return visits, identities, connection.execute(newest_first.limit(limit)).all()


def _add_samples(connection: Connection) -> None:
    now = utc_now()
    for product_id, (name, delivered, per_day) in enumerate(_SAMPLES, 1):
        connection.execute(products_table.insert().values(product_id=product_id, name=name))
        connection.execute(stock_table.insert().values(product_id=product_id, delivered=delivered))
        orders = [
            {"product_id": product_id, "quantity": quantity, "ordered_at": now - timedelta(days=day, hours=1)}
            for day, quantity in enumerate(per_day)
            if quantity
        ]
        connection.execute(orders_table.insert(), orders)
    _add_visits(connection, _SAMPLE_VISITS, now - timedelta(hours=1), 900)


def _add_visits(connection: Connection, number: int, created: datetime, timeout: float) -> None:
    keys = [uuid.uuid4().hex for _ in range(number)]
    expiry = created + timedelta(seconds=timeout)
    connection.execute(
        visits_table.insert(), [{"visit_key": key, "created": created, "expiry": expiry} for key in keys]
    )
    connection.execute(visit_identity_table.insert(), [{"visit_key": key, "user_id": 1} for key in keys])
