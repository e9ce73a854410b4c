package main

import (
	"context"
	_ "embed"
	"io"
	"net/http"
	"time"
)

//go:embed index.html
var index []byte

// frontend serves the page and passes /api/ on to the backend. Its health is its
// own: a frontend without a backend still answers, with errors where it must.
func frontend(ctx context.Context) error {
	backendURL := setting("BACKEND_URL", "http://ecommerce-backend-service:8000")
	// A connection a request: so every request is spread over the backends that are ready now.
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	m := newMetrics()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", m.measure("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(index)
	}))
	mux.HandleFunc("GET /health", m.measure("/health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}))
	mux.HandleFunc("/api/", m.measure("/api", func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), r.Method, backendURL+r.URL.RequestURI(), r.Body)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		request.Header.Set("Content-Type", r.Header.Get("Content-Type"))
		request.ContentLength = r.ContentLength
		answer, err := client.Do(request)
		if err != nil {
			requestFailed(r, "%s %s: the backend does not answer: %v", r.Method, r.URL.Path, err)
			writeJSON(w, http.StatusBadGateway, map[string]string{"error": "the backend does not answer"})
			return
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	mux.Handle("GET /metrics", until(ctx, m))
	return serve(ctx, ":3000", mux)
}
