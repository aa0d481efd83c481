package main

import "net/http"

// simulator is a Communication Provider's stand-in.
type simulator struct {
	id string
	// settings are the environment of functions that reach it, given its base URL.
	settings func(baseURL string) map[string]string
	handler  func() http.Handler
}

// simulated lists the simulators.
func simulated() []simulator {
	return []simulator{
		{
			id: "edna",
			settings: func(baseURL string) map[string]string {
				return map[string]string{
					"EDNA_BASE_URL":     baseURL,
					"EDNA_API_KEY":      "local-edna-key",
					"EDNA_WEBHOOK_KEYS": "local-edna-webhook-key",
				}
			},
			handler: http.NotFoundHandler,
		},
	}
}

// simulators serves each one under its id.
func simulators() http.Handler {
	mux := http.NewServeMux()
	for _, s := range simulated() {
		mux.Handle("/"+s.id+"/", http.StripPrefix("/"+s.id, s.handler()))
	}
	return mux
}
