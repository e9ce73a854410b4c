package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"sync"
	"time"
)

// buckets are the upper bounds of the request duration histogram, in seconds.
var buckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// metrics counts requests and shows the counts as Prometheus text.
type metrics struct {
	mu       sync.Mutex
	requests map[string]int64 // by rendered labels
	inBucket []int64
	seconds  float64
	count    int64
}

func newMetrics() *metrics {
	return &metrics{requests: map[string]int64{}, inBucket: make([]int64, len(buckets))}
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// measure wraps a handler; route is the label, so that ids in a path do not multiply it.
func (m *metrics) measure(route string, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		recorder := &statusRecorder{w, http.StatusOK}
		handler(recorder, r)
		took := time.Since(begin).Seconds()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.requests[fmt.Sprintf("route=%q,code=\"%d\"", route, recorder.status)]++
		m.count++
		m.seconds += took
		for i, bound := range buckets {
			if took <= bound {
				m.inBucket[i]++
			}
		}
	}
}

func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintln(w, "# TYPE shop_requests_total counter")
	labels := make([]string, 0, len(m.requests))
	for label := range m.requests {
		labels = append(labels, label)
	}
	sort.Strings(labels)
	for _, label := range labels {
		fmt.Fprintf(w, "shop_requests_total{%s} %d\n", label, m.requests[label])
	}
	fmt.Fprintln(w, "# TYPE shop_request_duration_seconds histogram")
	for i, bound := range buckets {
		fmt.Fprintf(w, "shop_request_duration_seconds_bucket{le=\"%g\"} %d\n", bound, m.inBucket[i])
	}
	fmt.Fprintf(w, "shop_request_duration_seconds_bucket{le=\"+Inf\"} %d\n", m.count)
	fmt.Fprintf(w, "shop_request_duration_seconds_sum %g\nshop_request_duration_seconds_count %d\n", m.seconds, m.count)
}

// until answers like the handler until ctx ends, and then with 503: a replica that drains no longer counts
// as one, and Prometheus sees so even if the next one is ready before this one is gone.
func until(ctx context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that went away is its own business
}
