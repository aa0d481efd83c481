package main

import (
	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/provider/registry"
)

const (
	cantSpeak   = "The Contact Center can't speak to this provider yet."
	neverTried  = "When the credentials were entered, the Contact Center could not speak to this provider yet, so they were never tried."
	enterAnew   = "Enter them again with PATCH /v1/channels/{id}, then activate the channel."
	tillSpoken  = "Until it can, the channel can't be activated, and nothing is sent by it."
	keptUntried = " The credentials are kept, and were not tried."
)

// speakerOf names what a new channel of a provider is spoken for by. There may be nothing: an entry is listed all the same,
// and its channels wait.
func (h *Handler) speakerOf(e registry.Entry) string {
	if h.Adapters[e.AdapterID()] == nil {
		return channel.Unspoken
	}
	return e.AdapterID()
}

func unspoken() *api.Problem {
	return api.NewProblem(api.CodeProviderDisabled).WithDetail(cantSpeak)
}

// spokenFor gives a channel with what speaks for it. What did not speak to the provider when the channel was made may do so
// by now; then it is taken from the provider's entry. Credentials that were kept untried are no reason to begin with them.
func (h *Handler) spokenFor(c channel.Channel, e registry.Entry) (channel.Channel, error) {
	if h.Adapters[c.AdapterID()] != nil {
		return c, nil
	}
	if c.Adapter = h.speakerOf(e); c.Adapter == channel.Unspoken {
		return c, unspoken()
	}
	if len(c.SealedCredentials) > 0 {
		return c, api.NewProblem(api.CodeCredentialsInvalid).WithDetail(neverTried + " " + enterAnew)
	}
	return c, nil
}

// unspokenSteps tell what a channel waits for that can't be activated because nothing speaks for it.
func (h *Handler) unspokenSteps(c channel.Channel, e registry.Entry) []api.SetupStep {
	_, err := h.spokenFor(c, e)
	switch {
	case err == nil || e.TermsVersion == "": // or there is no entry any more
		return nil
	case h.speakerOf(e) != channel.Unspoken:
		return []api.SetupStep{{Title: "Enter the credentials again", Detail: neverTried + " " + enterAnew}}
	case len(c.SealedCredentials) > 0:
		return []api.SetupStep{{Title: "Wait for the Contact Center", Detail: cantSpeak + " " + tillSpoken + keptUntried}}
	}
	return []api.SetupStep{{Title: "Wait for the Contact Center", Detail: cantSpeak + " " + tillSpoken}}
}
