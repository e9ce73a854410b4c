WITH RECURSIVE {relations}, guards AS (
    SELECT 'constraint' AS kind, c.conrelid AS relation, c.conname AS name,
        pg_get_constraintdef(c.oid) AS definition,
        c.convalidated AND NOT EXISTS (
            SELECT 1 FROM pg_trigger g WHERE g.tgconstraint = c.oid AND g.tgenabled = 'D'
        ) AS valid
    FROM pg_constraint c
    WHERE c.conrelid IN (SELECT oid FROM relations) AND c.contype <> 't'
    UNION ALL
    SELECT 'index', i.indrelid, x.relname, pg_get_indexdef(x.oid),
        i.indisvalid AND i.indisready AND i.indislive
    FROM pg_index i
    JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid IN (SELECT oid FROM relations)
)
SELECT json_build_object(
    'kind', g.kind, 'table', format('%I.%I', n.nspname, t.relname), 'name', g.name,
    'definition', g.definition, 'valid', g.valid)
FROM guards g
JOIN pg_class t ON t.oid = g.relation
JOIN pg_namespace n ON n.oid = t.relnamespace
ORDER BY n.nspname, t.relname, g.kind, g.name
LIMIT {limit}
