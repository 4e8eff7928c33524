"""The tables of the paper venue. Decimals are TEXT: SQLite's REAL would round money."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS paper_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS paper_markets (
    symbol TEXT PRIMARY KEY, anchor_s INTEGER NOT NULL, anchor_points INTEGER NOT NULL, level REAL NOT NULL,
    held INTEGER NOT NULL DEFAULT 0, closed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS paper_bars (
    symbol TEXT NOT NULL, timeframe TEXT NOT NULL, time_s INTEGER NOT NULL,
    open INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL, close INTEGER NOT NULL, volume INTEGER NOT NULL,
    PRIMARY KEY (symbol, timeframe, time_s)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS paper_accounts (
    account_id TEXT PRIMARY KEY, internal_account_id TEXT, broker_login TEXT, currency TEXT NOT NULL,
    leverage INTEGER NOT NULL, balance TEXT NOT NULL, connected INTEGER NOT NULL, created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS paper_orders (
    id INTEGER PRIMARY KEY, account_id TEXT NOT NULL, symbol TEXT NOT NULL, direction TEXT NOT NULL,
    order_type TEXT NOT NULL, lots TEXT NOT NULL, price TEXT, stop_loss TEXT, take_profit TEXT, sl_distance TEXT,
    tp_distance TEXT, time_in_force TEXT NOT NULL, good_till_ms INTEGER, status TEXT NOT NULL,
    closing INTEGER NOT NULL DEFAULT 0, fill_price TEXT, position_id INTEGER, deal_id INTEGER, reason TEXT,
    client_order_id TEXT, label TEXT, comment TEXT, created_ms INTEGER NOT NULL, finished_ms INTEGER
);
CREATE INDEX IF NOT EXISTS paper_orders_client ON paper_orders (client_order_id) WHERE client_order_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS paper_orders_account ON paper_orders (account_id, id);
CREATE INDEX IF NOT EXISTS paper_orders_pending ON paper_orders (id) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS paper_positions (
    id INTEGER PRIMARY KEY, account_id TEXT NOT NULL, symbol TEXT NOT NULL, direction TEXT NOT NULL,
    opened_lots TEXT NOT NULL, lots TEXT NOT NULL, open_price TEXT NOT NULL, stop_loss TEXT, take_profit TEXT,
    swap TEXT NOT NULL, commission TEXT NOT NULL, booked_profit TEXT NOT NULL, booked_swap TEXT NOT NULL,
    booked_commission TEXT NOT NULL, opened_ms INTEGER NOT NULL, closed_ms INTEGER,
    client_order_id TEXT, label TEXT, comment TEXT
);
CREATE INDEX IF NOT EXISTS paper_positions_open ON paper_positions (id) WHERE closed_ms IS NULL;
CREATE TABLE IF NOT EXISTS paper_deals (
    id INTEGER PRIMARY KEY, account_id TEXT NOT NULL, order_id INTEGER NOT NULL, position_id INTEGER NOT NULL,
    symbol TEXT NOT NULL, direction TEXT NOT NULL, entry INTEGER NOT NULL, lots TEXT NOT NULL, price TEXT NOT NULL,
    profit TEXT NOT NULL, commission TEXT NOT NULL, swap TEXT NOT NULL, reason INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, client_order_id TEXT, comment TEXT
);
CREATE INDEX IF NOT EXISTS paper_deals_position ON paper_deals (position_id);
CREATE INDEX IF NOT EXISTS paper_deals_account ON paper_deals (account_id, time_ms);
CREATE INDEX IF NOT EXISTS paper_deals_client ON paper_deals (client_order_id) WHERE client_order_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS paper_changes (
    id INTEGER PRIMARY KEY, account_id TEXT NOT NULL, kind TEXT NOT NULL, position_id INTEGER, order_id INTEGER,
    client_order_id TEXT, time_ms INTEGER NOT NULL
);
"""
