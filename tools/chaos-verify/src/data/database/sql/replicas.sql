SELECT json_build_object(
    'name', coalesce(application_name, ''), 'state', coalesce(state, ''),
    'lag_bytes', pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
            ELSE pg_current_wal_lsn() END,
        replay_lsn)::bigint,
    'lag_ms', extract(epoch FROM replay_lag) * 1000)
FROM pg_stat_replication
ORDER BY application_name, pid
LIMIT 100
