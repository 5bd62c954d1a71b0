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

-- Sums of all tasks by hour, as task 0 of span 'all'.
INSERT INTO tg_count (span, begin, task_id, state, count, seconds, longest)
SELECT 'all', begin, 0, state, sum(count), sum(seconds), max(longest)
FROM tg_count WHERE span = 'hour' GROUP BY begin, state;
