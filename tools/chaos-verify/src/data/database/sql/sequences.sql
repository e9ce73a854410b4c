SELECT json_build_object(
    'sequence', format('%I.%I', n.nspname, s.relname), 'oid', s.oid::bigint,
    'table', format('%I.%I', tn.nspname, t.relname), 'column', format('%I', a.attname),
    'increment', q.seqincrement, 'whole', a.atttypid IN (20, 21, 23),
    'select', has_table_privilege(s.oid, 'SELECT'),
    'usage', has_sequence_privilege(s.oid, 'USAGE'))
FROM (
    SELECT objid AS sequence, refobjid AS relation, refobjsubid AS attribute
    FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
        AND deptype IN ('a', 'i') AND refobjid IN ({tables}) AND refobjsubid > 0
    UNION
    SELECT d.refobjid, x.adrelid, x.adnum
    FROM pg_attrdef x
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = x.oid
        AND d.refclassid = 'pg_class'::regclass
    WHERE x.adrelid IN ({tables})
) AS u
JOIN pg_class s ON s.oid = u.sequence AND s.relkind = 'S'
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_sequence q ON q.seqrelid = s.oid AND NOT q.seqcycle
JOIN pg_class t ON t.oid = u.relation
JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = u.relation AND a.attnum = u.attribute
ORDER BY n.nspname, s.relname, tn.nspname, t.relname, a.attname
