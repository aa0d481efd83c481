package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/recipient"
)

// PutConsents answers PUT /v1/recipients/{id}/consents.
func (h *Handler) PutConsents(w http.ResponseWriter, r *http.Request) {
	h.with(w, r, func(of recipient.Recipient) error {
		var req api.PutConsentsRequest
		if err := api.DecodeJSON(r, &req); err != nil {
			return err
		}
		list, err := h.consents(r.Context(), req.Items)
		if err != nil {
			return err
		}
		err = h.Recipients.PutConsents(r.Context(), of, list, api.AuditEvent(r.Context()))
		if errors.Is(err, recipient.ErrTooLarge) {
			var errs api.FieldErrors
			errs.Add("items", api.FieldInvalid, "are too long together; shorten the proof_references")
			return errs.Err()
		}
		if err != nil {
			return err
		}
		api.WriteJSON(w, http.StatusOK, api.ConsentList{Items: consentViews(list)})
		return nil
	})
}

// consents checks what is to be recorded: one consent for each channel of the account and purpose.
func (h *Handler) consents(ctx context.Context, given []api.Consent) ([]recipient.Consent, error) {
	var errs api.FieldErrors
	if len(given) > recipient.MaxConsents {
		errs.Add("items", api.FieldInvalid, "must have at most 100 consents")
		return nil, errs.Err()
	}
	type place struct{ channel, purpose string }
	seen, known := map[place]bool{}, map[string]bool{}
	list := make([]recipient.Consent, len(given))
	for i, c := range given {
		field := func(name string) string { return fmt.Sprintf("items[%d].%s", i, name) }
		if !known[c.ChannelID] {
			switch err := h.ownChannel(ctx, c.ChannelID); {
			case errors.Is(err, channel.ErrNotFound):
				errs.Add(field("channel_id"), api.FieldInvalid, "is none of the account's channels")
			case err != nil:
				return nil, err
			}
			known[c.ChannelID] = true
		}
		if p := (place{c.ChannelID, c.Purpose}); seen[p] {
			errs.Add(field("purpose"), api.FieldDuplicate, "is there more than once for this channel")
		} else {
			seen[p] = true
		}
		for name, bound := range map[string]struct {
			text string
			most int
		}{"purpose": {c.Purpose, maxPurpose}, "source": {c.Source, maxSource}, "proof_reference": {c.ProofReference, maxProof}} {
			if utf8.RuneCountInString(bound.text) > bound.most {
				errs.Add(field(name), api.FieldInvalid, fmt.Sprintf("must have at most %d characters", bound.most))
			}
		}
		if c.ObtainedAt.After(h.Now()) {
			errs.Add(field("obtained_at"), api.FieldInvalid, "must not lie in the future")
		}
		list[i] = recipient.Consent{ChannelID: c.ChannelID, Purpose: c.Purpose, Status: recipient.ConsentStatus(c.Status), Source: c.Source, ObtainedAt: c.ObtainedAt.Time, ProofReference: c.ProofReference}
	}
	return list, errs.Err()
}

// ownChannel returns channel.ErrNotFound for a channel that the account neither has nor had.
func (h *Handler) ownChannel(ctx context.Context, channelID string) error {
	if !id.Valid(id.ChannelPrefix, channelID) {
		return channel.ErrNotFound
	}
	c, err := h.Channels.Lookup(ctx, channelID)
	if err == nil && c.AccountID != api.PrincipalFrom(ctx).AccountID {
		return channel.ErrNotFound
	}
	return err
}

// GetConsents answers GET /v1/recipients/{id}/consents.
func (h *Handler) GetConsents(w http.ResponseWriter, r *http.Request) {
	h.with(w, r, func(of recipient.Recipient) error {
		list, err := h.Recipients.Consents(r.Context(), of.AccountID, of.ID)
		if err != nil {
			return err
		}
		api.WriteJSON(w, http.StatusOK, api.ConsentList{Items: consentViews(list)})
		return nil
	})
}

func consentViews(list []recipient.Consent) []api.Consent {
	out := make([]api.Consent, len(list))
	for i, c := range list {
		out[i] = api.Consent{ChannelID: c.ChannelID, Purpose: c.Purpose, Status: api.ConsentStatus(c.Status), Source: c.Source, ObtainedAt: api.At(c.ObtainedAt), ProofReference: c.ProofReference}
	}
	return out
}

// PutOptOut answers PUT /v1/recipients/{id}/opt-outs/{channel_id}.
func (h *Handler) PutOptOut(w http.ResponseWriter, r *http.Request) {
	h.with(w, r, func(of recipient.Recipient) error {
		if err := api.NoBody(r); err != nil {
			return err
		}
		channelID := r.PathValue("channel_id")
		if err := h.ownChannel(r.Context(), channelID); err != nil {
			return err
		}
		o, err := h.Recipients.OptOut(r.Context(), of, channelID, api.AuditEvent(r.Context()))
		if err != nil {
			return err
		}
		api.WriteJSON(w, http.StatusOK, optOutView(o))
		return nil
	})
}

// DeleteOptOut answers DELETE /v1/recipients/{id}/opt-outs/{channel_id}.
func (h *Handler) DeleteOptOut(w http.ResponseWriter, r *http.Request) {
	h.with(w, r, func(of recipient.Recipient) error {
		channelID := r.PathValue("channel_id")
		if err := h.ownChannel(r.Context(), channelID); err != nil {
			return err
		}
		if err := h.Recipients.LiftOptOut(r.Context(), of, channelID, api.AuditEvent(r.Context())); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}
