WITH RECURSIVE {relations}, heaps AS (
    SELECT oid FROM relations
    UNION
    SELECT c.reltoastrelid
    FROM pg_class c
    JOIN relations r ON r.oid = c.oid
    WHERE c.reltoastrelid <> 0
)
SELECT json_build_object(
    'name', format('%I.%I', n.nspname, c.relname), 'oid', c.oid::bigint,
    'index', c.relkind = 'i')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.oid IN (SELECT oid FROM heaps) AND c.relkind IN ('r', 'm', 't'))
    OR (c.relkind = 'i'
        AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
        AND c.oid IN (
            SELECT i.indexrelid
            FROM pg_index i
            WHERE i.indrelid IN (SELECT oid FROM heaps) AND i.indisvalid AND i.indisready
        ))
ORDER BY pg_relation_size(c.oid), c.oid
