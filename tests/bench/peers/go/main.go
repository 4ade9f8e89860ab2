// What a cloud team would write: net/http with client_golang, instrumented the
// way its documentation shows. ADDRESS is given as the only argument.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total",
		Help: "Requests answered.",
	}, []string{"endpoint", "method", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds",
		Help: "Time to answer.",
	}, []string{"endpoint"})
	prometheus.MustRegister(requests, duration)

	root := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"msg": "Hello World"}`))
	})
	labels := prometheus.Labels{"endpoint": "root"}
	http.Handle("/", promhttp.InstrumentHandlerDuration(duration.MustCurryWith(labels),
		promhttp.InstrumentHandlerCounter(requests.MustCurryWith(labels), root)))
	http.Handle("/metrics", promhttp.Handler())
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
