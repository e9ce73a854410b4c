SELECT json_build_object(
    'schema', s,
    'index', has_function_privilege(
        to_regprocedure(s || '.bt_index_check(regclass, boolean)'), 'EXECUTE'),
    'heap', has_function_privilege(
        to_regprocedure(
            s || '.verify_heapam(regclass, boolean, boolean, text, bigint, bigint)'),
        'EXECUTE'))
FROM (
    SELECT format('%I', n.nspname) AS s
    FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'amcheck'
) AS x
