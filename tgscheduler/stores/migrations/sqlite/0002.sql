-- alone: 1 where it may start runs without a claim while the database does not answer; who comes new waits for its word.
-- ahead: by how much its clock is ahead of the database's (seconds).
ALTER TABLE tg_node ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tg_node ADD COLUMN ahead REAL NOT NULL DEFAULT 0;

-- How often it was taken over from a process that had ended.
ALTER TABLE tg_open ADD COLUMN takeovers INTEGER NOT NULL DEFAULT 0;
