package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed seed.sql
var seed string

const (
	appRole   = "ecommerce"
	socketDir = "/var/run/postgresql"
	// access lets every local user in, as the container's own tools are, and asks the network for the password.
	access = "local all all trust\nhost all all all scram-sha-256\n"
)

// database runs PostgreSQL on the volume: made and filled the first time, and
// ended in order when the container is (PostgreSQL takes the SIGTERM of a plain
// container as "wait for every client", which would take the whole grace period).
func database(ctx context.Context) error {
	data := filepath.Join(setting("DATA_DIR", "/data"), "postgresql")
	owner, err := postgresUser()
	if err != nil {
		return err
	}
	as := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		return cmd
	}
	for _, dir := range []string{filepath.Dir(data), socketDir} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chown(dir, int(owner.Uid), int(owner.Gid))); err != nil {
			return err
		}
	}
	// One server at a time, even when a pod was deleted by force and its successor starts early:
	// every process of the server inherits the lock, and it goes with the last of them.
	lock, err := os.Create(data + ".lock")
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		// Under another name until it is whole, so that a start that was cut short is begun anew.
		unfinished := data + ".new"
		if err := os.RemoveAll(unfinished); err != nil {
			return err
		}
		if err := as("initdb", "--no-sync", "--locale=C.UTF-8", "--username=postgres", "--pgdata="+unfinished).Run(); err != nil {
			return fmt.Errorf("initdb: %w", err)
		}
		if err := os.Rename(unfinished, data); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(access), 0o644); err != nil {
		return err
	}
	// PostgreSQL's own lock names a process; a container's numbers start anew, so it may name a wrong one.
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	server := as("postgres", "-D", data, "-c", "listen_addresses=*", "-c", "unix_socket_directories="+socketDir,
		// The machine does not lose its power here, and its disk may be busy with other things.
		"-c", "fsync=off",
		"-c", "shared_buffers=32MB", "-c", "max_connections=60", "-c", "log_min_messages=warning")
	server.ExtraFiles = []*os.File{lock}
	if err := server.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	ready := make(chan error, 1)
	go func() { ready <- prepare(ctx) }()
	go func() {
		if err := <-ready; err != nil {
			problem("preparing the database: %v", err)
			_ = server.Process.Signal(syscall.SIGINT)
			return
		}
		if err := watchDatabase(ctx); err != nil {
			problem("the database's metrics: %v", err)
		}
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("postgres ended: %w", err)
	case <-ctx.Done():
	}
	if err := server.Process.Signal(syscall.SIGINT); err != nil { // "fast": end the sessions, then stop
		return err
	}
	return <-ended
}

func postgresUser() (*syscall.Credential, error) {
	entry, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(entry.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(entry.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func connect(ctx context.Context, role, name string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return pgx.Connect(ctx, fmt.Sprintf("host=%s user=%s dbname=%s password=''", socketDir, role, name))
}

// prepare waits for the server, then sees to the role, its password and the data.
func prepare(ctx context.Context) error {
	var conn *pgx.Conn
	for {
		var err error
		if conn, err = connect(ctx, "postgres", "postgres"); err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(50 * time.Millisecond)
	}
	defer conn.Close(context.Background())
	var roles, databases int
	err := conn.QueryRow(ctx, "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = $1), (SELECT count(*) FROM pg_database WHERE datname = $1)", appRole).Scan(&roles, &databases)
	if err != nil {
		return err
	}
	if roles == 0 {
		if _, err := conn.Exec(ctx, "CREATE ROLE "+appRole+" LOGIN"); err != nil {
			return err
		}
	}
	var setPassword string // DDL takes no parameters; the server quotes it
	if err := conn.QueryRow(ctx, "SELECT format('ALTER ROLE "+appRole+" PASSWORD %L', $1::text)", os.Getenv("ECOMMERCE_PASSWORD")).Scan(&setPassword); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, setPassword); err != nil {
		return errors.New("the password was not accepted") // the text of the error could hold it
	}
	if databases == 0 {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+appRole+" OWNER "+appRole); err != nil {
			return err
		}
	}
	shop, err := connect(ctx, appRole, appRole)
	if err != nil {
		return err
	}
	defer shop.Close(context.Background())
	return pgx.BeginFunc(ctx, shop, func(tx pgx.Tx) error {
		var filled bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass('public.orders') IS NOT NULL").Scan(&filled); err != nil || filled {
			return err
		}
		_, err := tx.Exec(ctx, seed)
		return err
	})
}

// watchDatabase answers, on a port of its own, whether PostgreSQL does. It opens
// only after the data is in place, so "ready" means seeded.
func watchDatabase(ctx context.Context) error {
	query := func(r *http.Request) (size, orders int64, err error) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		conn, err := connect(ctx, "postgres", appRole)
		if err != nil {
			return 0, 0, err
		}
		defer conn.Close(context.Background())
		err = conn.QueryRow(ctx, "SELECT pg_database_size($1), (SELECT count(*) FROM orders)", appRole).Scan(&size, &orders)
		return size, orders, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := query(r); err != nil {
			requestFailed(r, "the database does not answer: %v", err)
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable"})
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		size, orders, err := query(r)
		if err != nil {
			fmt.Fprintln(w, "# TYPE pg_up gauge\npg_up 0")
			return
		}
		fmt.Fprintf(w, "# TYPE pg_up gauge\npg_up 1\n# TYPE pg_database_size_bytes gauge\npg_database_size_bytes{datname=%q} %d\n", appRole, size)
		fmt.Fprintf(w, "# TYPE shop_orders gauge\nshop_orders %d\n", orders)
	})
	return serve(ctx, ":9187", mux)
}
