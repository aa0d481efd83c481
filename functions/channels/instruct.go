package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/restriction"
)

const (
	instructionLife    = time.Hour
	maxInstructionLife = 7 * 24 * time.Hour
)

// InstructActivation answers POST /v1/channels/{id}/activation-instructions. What is kept for the Idempotency-Key is the
// answer without the token: that one is put in on its way out, and is nowhere kept.
func (h *Handler) InstructActivation(w http.ResponseWriter, r *http.Request) {
	token := ""
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		out, secret, err := h.instruct(r)
		if err != nil {
			api.WriteError(w, r, problemOf(r, err))
			return
		}
		token = secret
		api.WriteJSON(w, http.StatusCreated, out)
	})(once{w, &token}, api.OrEmpty(r))
}

// once puts the token into the one answer that passes through it.
type once struct {
	http.ResponseWriter
	token *string
}

func (o once) Write(b []byte) (int, error) {
	var out api.ActivationInstruction
	if *o.token == "" || json.Unmarshal(b, &out) != nil {
		return o.ResponseWriter.Write(b)
	}
	out.Instruction = *o.token
	whole, err := json.Marshal(out)
	if err != nil {
		return 0, err
	}
	if _, err := o.ResponseWriter.Write(append(whole, '\n')); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (h *Handler) instruct(r *http.Request) (api.ActivationInstruction, string, error) {
	var none api.ActivationInstruction
	p := api.PrincipalFrom(r.Context())
	c, err := h.own(r)
	if err == nil {
		err = h.permitted(r, c.AccountID, restriction.Way{ProviderID: c.ProviderID, ChannelID: c.ID})
	}
	if err != nil {
		return none, "", err
	}
	life, err := lifeOf(r)
	if err != nil {
		return none, "", err
	}
	instructionID, err := h.IDs.New(id.InstructionPrefix)
	if err != nil {
		return none, "", err
	}
	token, err := channel.NewToken(c.ID, instructionID, h.Random)
	if err != nil {
		return none, "", err
	}
	now := h.Now().UTC().Truncate(time.Millisecond)
	i := channel.Instruction{ID: instructionID, ChannelID: c.ID, AccountID: c.AccountID, IssuedBy: p.UserID, IssuedAt: now, ExpiresAt: now.Add(life)}
	if err := h.Channels.Instruct(r.Context(), i, token, api.AuditEvent(r.Context())); err != nil {
		return none, "", err
	}
	return api.ActivationInstruction{ID: i.ID, ChannelID: i.ChannelID, ExpiresAt: api.At(i.ExpiresAt)}, token, nil
}

// lifeOf gives how long the instruction is to hold.
func lifeOf(r *http.Request) (time.Duration, error) {
	var req api.InstructActivationRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return 0, err
	}
	if req.ExpiresInSeconds == nil {
		return instructionLife, nil
	}
	if s := *req.ExpiresInSeconds; s < 1 || s > int64(maxInstructionLife/time.Second) {
		var errs api.FieldErrors
		errs.Add("expires_in_seconds", api.FieldInvalid, "must be a whole number from 1 to 604800")
		return 0, errs.Err()
	}
	return time.Duration(*req.ExpiresInSeconds) * time.Second, nil
}

// WithdrawInstruction answers DELETE /v1/channels/{id}/activation-instructions/{instruction_id}.
func (h *Handler) WithdrawInstruction(w http.ResponseWriter, r *http.Request) {
	c, err := h.own(r)
	instructionID := r.PathValue("instruction_id")
	if err == nil && !id.Valid(id.InstructionPrefix, instructionID) {
		err = channel.ErrInstruction
	}
	if err == nil {
		err = h.Channels.WithdrawInstruction(r.Context(), c.ID, instructionID, h.Now(), api.AuditEvent(r.Context()))
	}
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, channel.ErrInstruction):
		api.WriteError(w, r, api.NewProblem(api.CodeNotFound).WithDetail("The channel has no such instruction."))
	case errors.Is(err, channel.ErrInstructionUsed):
		api.WriteError(w, r, api.NewProblem(api.CodeConflict).WithDetail("The instruction was followed already. Deactivate the channel if it is not to be active."))
	default:
		api.WriteError(w, r, problemOf(r, err))
	}
}

// FollowInstruction answers POST /v1/operator/activations.
func (h *Handler) FollowInstruction(w http.ResponseWriter, r *http.Request) {
	c, instructionID, err := h.redeem(r)
	if errors.Is(err, channel.ErrInstruction) || errors.Is(err, channel.ErrNotFound) {
		err = api.NewProblem(api.CodeForbidden).WithDetail("The instruction can't be followed. Ask the customer for a new one.")
	}
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.FollowedInstruction{
		InstructionID: instructionID, ChannelID: c.ID, Status: api.ChannelStatus(c.Status), ActivatedBy: c.ActivatedBy, ActivatedAt: api.At(c.ActivatedAt),
	})
}

// redeem activates the channel of an instruction in the name of the user who gave it. Until the very write that activates
// the channel the instruction stays as it is.
func (h *Handler) redeem(r *http.Request) (c channel.Channel, instructionID string, err error) {
	ctx := r.Context()
	var req api.FollowInstructionRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return c, "", err
	}
	i, err := h.Channels.FindInstruction(ctx, req.Instruction, h.Now())
	if err != nil {
		return c, "", err
	}
	if c, err = h.Channels.Get(ctx, i.ChannelID); err != nil {
		return c, "", err
	}
	if c.AccountID != i.AccountID {
		return c, "", channel.ErrInstruction
	}
	current, agreement, err := h.entitled(r, c)
	if err != nil {
		return c, "", err
	}
	if !agreement.Accepted { // by use, only a user of the account accepts
		return c, "", api.NewProblem(api.CodeRulesNotAccepted)
	}
	confirmed := channel.Confirmation{RulesVersion: req.RulesVersion, ProviderTermsVersion: req.ProviderTermsVersion, TransferCountries: req.TransferCountries}
	c, inForce, err := h.confirm(r, c, current, confirmed)
	if err != nil {
		return c, "", err
	}
	a := channel.Activation{By: i.IssuedBy, Confirmation: inForce, Adapter: c.AdapterID(), Instruction: &i}
	if a.Settings, a.Address, err = h.arrange(r, c); err != nil {
		return c, "", err
	}
	a.At = h.Now()
	e := api.AuditEvent(ctx)
	e.AccountID = i.AccountID
	if c, err = h.Channels.Activate(ctx, c.ID, a, e); err == nil {
		h.happened(ctx, event.ChannelActivated, c, c.ActivatedAt)
	}
	return c, i.ID, err
}
