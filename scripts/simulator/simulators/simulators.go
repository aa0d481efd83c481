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
	// Credentials of an account that it takes, to create a channel with; nil: the provider is reached with the operator's.
	Credentials map[string]string
}

// All lists them.
func All() []Simulator {
	return []Simulator{
		{"edna", edna.Settings, edna.Start, nil},
		{"email_ses", emailses.Settings, emailses.Start, map[string]string{
			"region": "us-east-1", "access_key_id": "AKIALOCALSES00000001", "secret_access_key": "local-ses-secret-access-key", "from_address": "Demo Shop <shop@example.com>",
			"configuration_set": "contact-center", "topic_arn": "arn:aws:sns:us-east-1:000000000000:contact-center",
		}},
		{"telegram", telegram.Settings, telegram.Start, map[string]string{"bot_token": "7000001:local-telegram-bot-1"}},
		{"twilio_sms", twiliosms.Settings, twiliosms.Start, map[string]string{
			"account_sid": "AC00000000000000000000000000000001", "auth_token": "local-twilio-auth-token", "sender": "+15550101001",
		}},
		{"whatsapp_cloud", whatsappcloud.Settings, whatsappcloud.Start, map[string]string{
			"phone_number_id": "100000000000001", "waba_id": "200000000000001", "access_token": "local-whatsapp-token", "app_secret": "local-whatsapp-app-secret", "verify_token": "any",
		}},
	}
}
