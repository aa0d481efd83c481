package main

import (
	"log/slog"
	"net/http"
	"strings"

	"contactcenter/scripts/simulator/edna"
)

// simulator is a Communication Provider's stand-in.
type simulator struct {
	id string
	// settings are the environment of functions that reach it, given its base URL.
	settings func(baseURL string) map[string]string
	// start makes it with the settings in force. The function that it gives ends it.
	start func(settings map[string]string, log *slog.Logger) (http.Handler, func())
}

// simulated lists the simulators.
func simulated() []simulator {
	return []simulator{{id: "edna", settings: ednaSettings, start: startEdna}}
}

func ednaSettings(baseURL string) map[string]string {
	return map[string]string{
		"EDNA_BASE_URL":     baseURL + "/api",
		"EDNA_API_KEY":      "local-edna-key",
		"EDNA_WEBHOOK_KEYS": "local-edna-webhook-key",
	}
}

func startEdna(settings map[string]string, log *slog.Logger) (http.Handler, func()) {
	current, _, _ := strings.Cut(settings["EDNA_WEBHOOK_KEYS"], ",")
	e := edna.New(edna.Options{APIKey: settings["EDNA_API_KEY"], WebhookKey: strings.TrimSpace(current), Logger: log})
	return e, e.Close
}
