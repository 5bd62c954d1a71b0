-- Number of runs due in an hour, in a day, or ever (begin 0), by the bucket of their duration: bucket b ends at
-- 2 ** (b / 4) seconds. Their total and longest duration (seconds); spans as in tg_count.
CREATE TABLE tg_duration (
    span TEXT NOT NULL,
    begin INTEGER NOT NULL,
    task_id INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    count INTEGER NOT NULL,
    seconds REAL NOT NULL,
    longest REAL NOT NULL,
    PRIMARY KEY (span, begin, task_id, bucket)
) WITHOUT ROWID;

-- Who changed what, when and from where. task: the name of the task, NULL: none or all of them.
CREATE TABLE tg_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    task TEXT,
    detail TEXT NOT NULL,
    origin TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX tg_audit_at ON tg_audit (at, id);
CREATE INDEX tg_audit_task ON tg_audit (task, at, id);
