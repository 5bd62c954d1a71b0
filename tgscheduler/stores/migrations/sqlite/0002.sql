-- alone: 1 if it may start runs without a claim while the database is down; a new process waits until that has ended.
-- ahead: by how many seconds its clock is ahead of the database's.
ALTER TABLE tg_node ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tg_node ADD COLUMN ahead REAL NOT NULL DEFAULT 0;

-- Number of times it was taken over from a process that had ended.
ALTER TABLE tg_open ADD COLUMN takeovers INTEGER NOT NULL DEFAULT 0;
