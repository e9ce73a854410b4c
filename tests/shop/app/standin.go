package main

import (
	"context"
	"fmt"
	"net/http"
)

// standIn answers where Grafana would, and says that it is not Grafana.
func standIn(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{
			"database": "ok",
			"standIn":  true,
			"message":  "This stands in for Grafana in tests; there are no dashboards behind it.",
		})
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "This stands in for Grafana in tests; there are no dashboards behind it.")
	})
	return serve(ctx, ":3000", mux)
}
