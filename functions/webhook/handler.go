package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/provider"
)

// maxBody bounds a callback's body, in bytes.
const maxBody = 1 << 20

// channels finds a channel by its id, active or not, also a deleted one: a provider checks the URL before the channel
// is activated, and what was sent by a channel is still reported on later. It returns channel.ErrNotFound.
type channels interface {
	Get(ctx context.Context, channelID string) (channel.Channel, error)
}

// Handler takes the callbacks of Communication Providers. It answers 200 only after everything that a callback tells
// is stored; a provider that gets another answer sends the callback again, and what is stored already stays as it is.
type Handler struct {
	channels channels
	// stored are the channels as they are this moment. Providers check a URL right after credentials were entered.
	stored channels
	// adapters by their ids.
	adapters map[string]provider.Adapter
	// credentials opens those of accounts: many a proof of origin is made with them.
	credentials channel.Opener
	recorder    recorder
	// publicBaseURL is where providers call back, without a final slash; "": the domain of the request.
	publicBaseURL string
	log           *slog.Logger
}

// VerifyCallback answers a provider that checks the URL: 200 when there is such a channel with this provider, and with the
// body that the provider wants to see, where it wants one.
func (h *Handler) VerifyCallback(w http.ResponseWriter, r *http.Request) {
	body, err := h.verify(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff") // the body is what the caller asked for
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) //nolint:gosec // G705: plain text that no browser takes for anything else, and only after the proof
	}
}

func (h *Handler) verify(r *http.Request) ([]byte, error) {
	ch, adapter, err := h.channelOf(r, h.stored)
	if err != nil {
		return nil, err
	}
	if ch.Deleted() {
		return nil, noSuchURL()
	}
	verifier, ok := adapter.(provider.Verifier)
	if !ok || r.Method == http.MethodHead {
		return nil, nil
	}
	account, err := ch.WithCredentials(h.credentials)
	if err != nil {
		return nil, api.TryAgain(r, err)
	}
	body, err := verifier.Verify(r.Context(), account, h.request(r, nil))
	if errors.Is(err, provider.ErrProof) {
		return nil, api.NewProblem(api.CodeForbidden).WithDetail("The request does not hold what was agreed on with the provider.")
	}
	return body, err
}

// request gives a call to an adapter.
func (h *Handler) request(r *http.Request, body []byte) *provider.Request {
	base := h.publicBaseURL
	if base == "" {
		base = "https://" + api.CallFrom(r.Context()).Domain
	}
	called := channel.CallbackURL(base, r.PathValue("provider_id"), r.PathValue("channel_id"))
	if r.URL.RawQuery != "" {
		called += "?" + r.URL.RawQuery
	}
	return &provider.Request{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: body, URL: called}
}

// ProbeCallback is VerifyCallback for HEAD.
func (h *Handler) ProbeCallback(w http.ResponseWriter, r *http.Request) { h.VerifyCallback(w, r) }

// ReceiveCallback proves a callback's origin, stores what it tells, and answers 200 with an empty body.
func (h *Handler) ReceiveCallback(w http.ResponseWriter, r *http.Request) {
	status, err := h.receive(w, r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	w.WriteHeader(status)
}

// receive gives the status that the provider wants to hear.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (int, error) {
	body, err := readBody(w, r)
	if err != nil {
		return 0, err
	}
	ch, adapter, err := h.channelOf(r, h.channels)
	if err != nil {
		return 0, err
	}
	ctx := r.Context()
	log := h.log.With("provider_id", ch.ProviderID, "account_id", ch.AccountID, "channel_id", ch.ID)
	account, err := ch.WithCredentials(h.credentials)
	if err != nil {
		return 0, api.TryAgain(r, err)
	}
	events, err := adapter.ParseCallback(ctx, account, h.request(r, body))
	switch {
	case errors.Is(err, provider.ErrProof):
		log.WarnContext(ctx, "callback without proof of origin")
		return 0, api.NewProblem(api.CodeUnauthorized).WithDetail("The callback carries no valid proof of its origin.")
	case errors.Is(err, provider.ErrMalformed):
		log.WarnContext(ctx, "callback that can't be read", "bytes", len(body))
		return 0, api.NewProblem(api.CodeInvalidRequest).WithStatus(http.StatusBadRequest).WithDetail("The body is not what the provider's documentation describes.")
	case err != nil:
		return 0, api.TryAgain(r, fmt.Errorf("read callback: %w", err))
	}
	can := adapter.Capabilities()
	done, err := h.recorder.record(ctx, ch, can, events)
	if err != nil {
		return 0, api.TryAgain(r, fmt.Errorf("store callback: %w", err))
	}
	log.InfoContext(ctx, "callback stored", "forward", done.forward, "replies", done.replies, "repeated", done.repeated, "unknown", done.unknown, "opt_outs", done.optOuts, "template_news", done.news)
	return max(can.CallbackStatus, http.StatusOK), nil
}

// channelOf finds the channel of the request's path and the adapter that speaks for it.
func (h *Handler) channelOf(r *http.Request, from channels) (channel.Channel, provider.Adapter, error) {
	channelID, providerID := r.PathValue("channel_id"), r.PathValue("provider_id")
	if !id.Valid(id.ChannelPrefix, channelID) {
		return channel.Channel{}, nil, noSuchURL()
	}
	ch, err := from.Get(r.Context(), channelID)
	switch {
	case errors.Is(err, channel.ErrNotFound) || err == nil && ch.ProviderID != providerID:
		return channel.Channel{}, nil, noSuchURL()
	case err != nil:
		return channel.Channel{}, nil, api.TryAgain(r, fmt.Errorf("find channel: %w", err))
	}
	adapter := h.adapters[ch.AdapterID()]
	if adapter == nil {
		return channel.Channel{}, nil, noSuchURL()
	}
	return ch, adapter, nil
}

func noSuchURL() error {
	return api.NewProblem(api.CodeNotFound).WithDetail("There is no such callback URL.")
}

// readBody reads the raw body.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, api.NewProblem(api.CodeRequestTooLarge).WithDetail("Send at most 1 MiB.")
	}
	if err != nil {
		return nil, api.NewProblem(api.CodeInvalidRequest).WithStatus(http.StatusBadRequest).WithDetail("The body could not be read.")
	}
	return body, nil
}

// clean shortens a provider's id to one that fits a log line.
func clean(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}
