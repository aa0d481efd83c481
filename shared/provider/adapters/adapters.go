// Package adapters lists the Communication Providers that this software can speak to. A further one is a folder beside
// this one and a line in the list.
package adapters

import (
	"slices"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
	"contactcenter/shared/provider/emailses"
	"contactcenter/shared/provider/telegram"
	"contactcenter/shared/provider/twiliosms"
	"contactcenter/shared/provider/whatsappcloud"
)

// entry is one adapter: what its provider can carry, and how it is made from the environment.
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

// IDs names every adapter, in order. A provider's entry in the registry names the one that speaks to it, or has its id.
func IDs() []string {
	var out []string
	for _, e := range list() {
		out = append(out, e.id)
	}
	slices.Sort(out)
	return out
}

// All makes every adapter, by its id.
func All(getenv func(string) string) map[string]provider.Adapter {
	out := map[string]provider.Adapter{}
	for _, e := range list() {
		out[e.id] = e.adapter(getenv)
	}
	return out
}

// Capabilities are those of every adapter, by its id, for a function that calls no provider.
func Capabilities() map[string]provider.Capabilities {
	out := map[string]provider.Capabilities{}
	for _, e := range list() {
		out[e.id] = e.capabilities()
	}
	return out
}
