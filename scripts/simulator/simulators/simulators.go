// Package simulators lists the providers' stand-ins, for the programs that run them.
package simulators

import (
	"log/slog"
	"net/http"

	"contactcenter/scripts/simulator/edna"
	"contactcenter/scripts/simulator/emailses"
	"contactcenter/scripts/simulator/telegram"
	"contactcenter/scripts/simulator/twiliosms"
	"contactcenter/scripts/simulator/whatsappcloud"
)

// Simulator is a Communication Provider's stand-in.
type Simulator struct {
	// ID of the provider. It is served under /{ID}.
	ID string
	// Settings are the environment of the functions that reach it, given its base URL, which ends in /{ID}.
	Settings func(baseURL string) map[string]string
	// Start makes it with the settings in force. The function that it gives ends it.
	Start func(settings map[string]string, log *slog.Logger) (http.Handler, func())
}

// All lists them.
func All() []Simulator {
	return []Simulator{
		{"edna", edna.Settings, edna.Start},
		{"email_ses", emailses.Settings, emailses.Start},
		{"whatsapp_cloud", whatsappcloud.Settings, whatsappcloud.Start},
		{"telegram", telegram.Settings, telegram.Start},
		{"twilio_sms", twiliosms.Settings, twiliosms.Start},
	}
}
