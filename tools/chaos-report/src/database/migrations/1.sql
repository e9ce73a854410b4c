-- The stream of a run or a note, byte for byte.
CREATE TABLE stream (
  stem text COLLATE "C" PRIMARY KEY,  -- the name that its files have in a folder, without endings
  ending text NOT NULL,               -- ndjson, or how it is packed: ndjson.gz
  sha256 text NOT NULL,
  bytes bytea NOT NULL,
  added timestamptz NOT NULL DEFAULT now(),
  -- What lists and reviews need of it. It is made anew from the bytes where a version of
  -- chaos-report wants another form of it.
  form integer NOT NULL,
  facts text,                         -- nothing where the stream can't be read
  answers text,
  unreadable text                     -- why it can't be read
);

-- The reports on a run, byte for byte.
CREATE TABLE report (
  stem text COLLATE "C" NOT NULL REFERENCES stream ON DELETE CASCADE,
  ending text NOT NULL,               -- md, html, json, junit.xml, summary.txt
  bytes bytea NOT NULL,
  PRIMARY KEY (stem, ending)
);

-- Reviews, which are replaced when they are made again.
CREATE TABLE review (
  name text PRIMARY KEY,              -- monthly-2026-11.md
  bytes bytea NOT NULL,
  written timestamptz NOT NULL DEFAULT now()
);
