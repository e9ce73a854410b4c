// Command shop is the sample e-commerce application that the chaos tools are tried on.
// One program has every part; the first argument says which one a container runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = "usage: shop frontend|backend|database|grafana-stand-in"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	parts := map[string]func(context.Context) error{
		"frontend":         frontend,
		"backend":          backend,
		"database":         database,
		"grafana-stand-in": standIn,
	}
	part, known := parts[os.Args[1]]
	if !known {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := part(ctx); err != nil {
		problem("%s ends: %v", os.Args[1], err)
		os.Exit(1)
	}
}

// problem writes the one line that a person greps the logs for.
func problem(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "ERROR %s %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}

// requestFailed writes the problem of a request, unless its client hung up: then it is the client's.
func requestFailed(r *http.Request, format string, args ...any) {
	if r.Context().Err() == nil {
		problem(format, args...)
	}
}

// drain is how long a server goes on after it was told to end: the time in which
// every node learns that the pod is no longer an endpoint.
const drain = time.Second

// serve answers on addr until ctx ends, drains, and lets the open requests finish.
func serve(ctx context.Context, addr string, handler http.Handler) error {
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	server.SetKeepAlivesEnabled(false)
	time.Sleep(drain)
	last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(last); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return server.Close()
	}
	return nil
}

// setting reads an environment variable that has a default.
func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
