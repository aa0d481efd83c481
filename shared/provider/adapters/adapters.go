// Package adapters lists the Communication Providers that this software can speak to. A further one is a folder beside
// this one and a line in the list.
package adapters

import (
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
	"contactcenter/shared/provider/emailses"
	"contactcenter/shared/provider/telegram"
	"contactcenter/shared/provider/twiliosms"
	"contactcenter/shared/provider/whatsappcloud"
)

// entry is one provider: what it can carry, and how its adapter is made from the environment.
type entry struct {
	id           string
	capabilities func() provider.Capabilities
	adapter      func(getenv func(string) string) provider.Adapter
}

func list() []entry {
	return []entry{
		{edna.ID, edna.Capabilities, func(getenv func(string) string) provider.Adapter { return edna.New(edna.ConfigFrom(getenv)) }},
		{emailses.ID, emailses.Capabilities, func(getenv func(string) string) provider.Adapter { return emailses.New(emailses.ConfigFrom(getenv)) }},
		{telegram.ID, telegram.Capabilities, func(getenv func(string) string) provider.Adapter { return telegram.New(telegram.ConfigFrom(getenv)) }},
		{twiliosms.ID, twiliosms.Capabilities, func(getenv func(string) string) provider.Adapter {
			return twiliosms.New(twiliosms.ConfigFrom(getenv))
		}},
		{whatsappcloud.ID, whatsappcloud.Capabilities, func(getenv func(string) string) provider.Adapter {
			return whatsappcloud.New(whatsappcloud.ConfigFrom(getenv))
		}},
	}
}

// All makes every adapter, by the provider's id.
func All(getenv func(string) string) map[string]provider.Adapter {
	out := map[string]provider.Adapter{}
	for _, e := range list() {
		out[e.id] = e.adapter(getenv)
	}
	return out
}

// Capabilities are those of every adapter, by the provider's id, for a function that calls no provider.
func Capabilities() map[string]provider.Capabilities {
	out := map[string]provider.Capabilities{}
	for _, e := range list() {
		out[e.id] = e.capabilities()
	}
	return out
}
