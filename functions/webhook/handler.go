package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"contactcenter/shared/id"
	"contactcenter/shared/provider"
)

// maxBody bounds a callback's body, in bytes.
const maxBody = 1 << 20

// errNoChannel: there is no such channel.
var errNoChannel = errors.New("channel not found")

// channel is what a callback must know of the Communication channel that it came for.
type channel struct {
	accountID, providerID string
	provider.Channel
}

// channels finds a channel by its id, active or not: a provider checks the URL before the channel is activated, and
// replies keep coming after it was deactivated. It returns errNoChannel.
type channels interface {
	find(ctx context.Context, channelID string) (channel, error)
}

// Handler takes the callbacks of Communication Providers. It answers 200 only after everything that a callback tells
// is stored; a provider that gets another answer sends the callback again, and what is stored already stays as it is.
type Handler struct {
	channels channels
	// adapters by provider id.
	adapters map[string]provider.Adapter
	recorder recorder
	log      *slog.Logger
}

// VerifyCallback answers a provider that checks the URL: 200 when there is such a channel with this provider.
func (h *Handler) VerifyCallback(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := h.channelOf(w, r); ok {
		w.WriteHeader(http.StatusOK)
	}
}

// ProbeCallback is VerifyCallback for HEAD.
func (h *Handler) ProbeCallback(w http.ResponseWriter, r *http.Request) { h.VerifyCallback(w, r) }

// ReceiveCallback proves a callback's origin, stores what it tells, and answers 200 with an empty body.
func (h *Handler) ReceiveCallback(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	ch, adapter, ok := h.channelOf(w, r)
	if !ok {
		return
	}
	ctx := r.Context()
	events, err := adapter.ParseCallback(ctx, ch.Channel, &provider.Request{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: body})
	switch {
	case errors.Is(err, provider.ErrProof):
		h.log.WarnContext(ctx, "callback refused: no proof of origin", "provider_id", ch.providerID, "channel_id", ch.ID)
		refuse(w, r, http.StatusUnauthorized, "forbidden", "The callback carries no valid proof of its origin.")
		return
	case errors.Is(err, provider.ErrMalformed):
		h.log.WarnContext(ctx, "callback refused: it can't be read", "provider_id", ch.providerID, "channel_id", ch.ID, "bytes", len(body))
		refuse(w, r, http.StatusBadRequest, "invalid_request", "The body is not what the provider's documentation describes.")
		return
	case err != nil:
		h.unavailable(w, r, "read callback", ch, err)
		return
	}
	done, err := h.recorder.record(ctx, ch, events)
	if err != nil {
		h.unavailable(w, r, "store callback", ch, err)
		return
	}
	h.log.InfoContext(ctx, "callback stored", "provider_id", ch.providerID, "account_id", ch.accountID, "channel_id", ch.ID,
		"forward", done.forward, "replies", done.replies, "repeated", done.repeated, "unknown", done.unknown)
	w.WriteHeader(http.StatusOK)
}

// unavailable asks the provider to send the callback again.
func (h *Handler) unavailable(w http.ResponseWriter, r *http.Request, doing string, ch channel, err error) {
	h.log.ErrorContext(r.Context(), "callback not handled", "doing", doing, "provider_id", ch.providerID, "account_id", ch.accountID, "channel_id", ch.ID, "error", err.Error())
	refuse(w, r, http.StatusServiceUnavailable, "try_again", "The callback could not be stored. Send it again.")
}

// channelOf finds the channel of the request's path and its provider's adapter, or answers the request.
func (h *Handler) channelOf(w http.ResponseWriter, r *http.Request) (channel, provider.Adapter, bool) {
	channelID, providerID := r.PathValue("channel_id"), r.PathValue("provider_id")
	adapter := h.adapters[providerID]
	err := errNoChannel
	var ch channel
	if adapter != nil && id.Valid(id.ChannelPrefix, channelID) {
		ch, err = h.channels.find(r.Context(), channelID)
	}
	switch {
	case errors.Is(err, errNoChannel) || err == nil && ch.providerID != providerID:
		refuse(w, r, http.StatusNotFound, "not_found", "There is no such callback URL.")
		return channel{}, nil, false
	case err != nil:
		h.unavailable(w, r, "find channel", channel{providerID: providerID, Channel: provider.Channel{ID: channelID}}, err)
		return channel{}, nil, false
	}
	return ch, adapter, true
}

// readBody reads the raw body, or answers the request.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		refuse(w, r, http.StatusRequestEntityTooLarge, "invalid_request", "The body is larger than 1 MiB.")
		return nil, false
	}
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "invalid_request", "The body could not be read.")
		return nil, false
	}
	return body, true
}

// clean shortens a provider's id to one that fits a log line.
func clean(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}
