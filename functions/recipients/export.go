package main

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/recipient"
)

// exportQueries bounds how many queries one page of an export takes. A page that is not full then has a token.
const exportQueries = 50

// ExportRecipient answers POST /v1/recipients/{id}/export. An export is made anew each time and kept nowhere.
func (h *Handler) ExportRecipient(w http.ResponseWriter, r *http.Request) {
	anew(h, w, r, id.ExportPrefix, h.export)
}

// anew answers with what is made of the path's recipient, each time anew, under an id that the Idempotency-Key keeps.
func anew[T any](h *Handler, w http.ResponseWriter, r *http.Request, prefix string, collect func(r *http.Request, of recipient.Recipient, id string) (T, error)) {
	newID := func() (string, error) { return h.IDs.New(prefix) }
	h.Keys.Named(newID, func(w http.ResponseWriter, r *http.Request, subject string, repeated bool) {
		h.with(w, r, func(of recipient.Recipient) error {
			out, err := collect(r, of, subject)
			if err != nil {
				return err
			}
			if repeated {
				w.Header().Set(idempotency.ReplayedHeader, "true")
			}
			api.WriteJSON(w, http.StatusOK, out)
			return nil
		})
	})(w, r)
}

func (h *Handler) export(r *http.Request, of recipient.Recipient, exportID string) (api.Export, error) {
	ctx := r.Context()
	var req api.ExportRecipientRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return api.Export{}, err
	}
	size, token := api.DefaultPageSize, ""
	if req.PageToken != nil {
		token = *req.PageToken
	}
	if req.PageSize != nil {
		if size = *req.PageSize; size < 1 || size > api.MaxPageSize {
			var errs api.FieldErrors
			errs.Add("page_size", api.FieldInvalid, "must be a whole number from 1 to 200")
			return api.Export{}, errs.Err()
		}
	}
	optOuts, err := h.Recipients.OptOuts(ctx, of)
	if err != nil {
		return api.Export{}, err
	}
	consents, err := h.Recipients.Consents(ctx, of.AccountID, of.ID)
	if err != nil {
		return api.Export{}, err
	}
	conversations, err := h.conversationsOf(ctx, of)
	if err != nil {
		return api.Export{}, err
	}
	list, next, err := h.messagesOf(ctx, of.AccountID, keysOf(conversations), size, token)
	if err != nil {
		return api.Export{}, err
	}
	views, err := h.exported(ctx, list)
	return api.Export{
		ID: exportID, Recipient: recipientView(of, optOuts), Consents: consentViews(consents), OptOuts: optOutViews(optOuts),
		Messages: views, NextPageToken: next, GeneratedAt: api.At(h.Now()),
	}, err
}

// conversation is one that a recipient may have had with the account.
type conversation struct{ key, channelID, address string }

func keysOf(list []conversation) []string {
	keys := make([]string, len(list))
	for i, c := range list {
		keys[i] = c.key
	}
	return keys
}

// conversationsOf gives all conversations that a recipient may have had with the account, in the order of their keys.
func (h *Handler) conversationsOf(ctx context.Context, of recipient.Recipient) ([]conversation, error) {
	channels, err := h.channels(ctx, of.AccountID)
	if err != nil {
		return nil, err
	}
	list := make([]conversation, 0, len(channels)*len(of.Addresses))
	for _, c := range channels {
		for _, a := range of.Addresses {
			list = append(list, conversation{h.Conversations.Key(of.AccountID, c, a), c, a})
		}
	}
	slices.SortFunc(list, func(a, b conversation) int { return strings.Compare(a.key, b.key) })
	return list, nil
}

// messagesOf reads a page of the messages of some conversations, one conversation after the other, each newest first. A token
// holds a conversation and where it goes on there; it leads into these conversations only.
func (h *Handler) messagesOf(ctx context.Context, accountID string, conversations []string, size int, token string) (list []message.Message, next string, err error) {
	at, inner := 0, ""
	if token != "" {
		if at, inner, err = parseToken(token, conversations); err != nil {
			return nil, "", err
		}
	}
	for range exportQueries {
		if at >= len(conversations) {
			return list, "", nil
		}
		if len(list) >= size {
			break
		}
		some, more, err := h.Messages.InConversation(ctx, accountID, conversations[at], attr.Page{Size: size - len(list), Token: inner})
		if errors.Is(err, attr.ErrToken) {
			return nil, "", api.BadPageToken()
		}
		if err != nil {
			return nil, "", err
		}
		list = append(list, some...)
		if inner = more; inner == "" {
			at++
		}
	}
	if at >= len(conversations) {
		return list, "", nil
	}
	return list, base64.RawURLEncoding.EncodeToString([]byte(conversations[at] + " " + inner)), nil
}

func parseToken(token string, conversations []string) (at int, inner string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	conversation, inner, ok := strings.Cut(string(b), " ")
	at, found := slices.BinarySearch(conversations, conversation)
	if err != nil || !ok || !found {
		return 0, "", api.BadPageToken()
	}
	return at, inner, nil
}

// exported shows messages, each with the disclosure under which it was transferred: the version of the provider's entry, with
// its countries, of then.
func (h *Handler) exported(ctx context.Context, list []message.Message) ([]api.Message, error) {
	views := make([]api.Message, len(list))
	for i, m := range list {
		views[i] = api.MessageOf(m, api.InLine)
		var err error
		if views[i].Transfer, err = api.TransferOf(ctx, m, h.Providers); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// EraseRecipient answers POST /v1/recipients/{id}/erase. The reference goes to the queue first: a job that was answered 202
// is surely worked on, and a reference without a job is dropped.
func (h *Handler) EraseRecipient(w http.ResponseWriter, r *http.Request) {
	job, err := h.erase(r)
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	w.Header().Set("Location", "/v1/erasures/"+job.ID)
	api.WriteJSON(w, http.StatusAccepted, erasureView(job))
}

func (h *Handler) erase(r *http.Request) (recipient.Erasure, error) {
	ctx, accountID := r.Context(), api.PrincipalFrom(r.Context()).AccountID
	if err := api.NoBody(r); err != nil {
		return recipient.Erasure{}, err
	}
	of, err := h.own(r)
	if errors.Is(err, recipient.ErrNotFound) && id.Valid(id.RecipientPrefix, r.PathValue("id")) {
		return h.Recipients.ErasureOf(ctx, accountID, r.PathValue("id"))
	}
	if err != nil {
		return recipient.Erasure{}, err
	}
	erasureID, err := h.IDs.New(id.ErasurePrefix)
	if err != nil {
		return recipient.Erasure{}, err
	}
	job := recipient.Erasure{AccountID: accountID, ID: erasureID, RecipientID: of.ID, Status: recipient.Running, RequestedAt: h.Now().UTC()}
	conversations, err := h.conversationsOf(ctx, of)
	if err != nil {
		return recipient.Erasure{}, err
	}
	job.Conversations = keysOf(conversations)
	consents, err := h.Recipients.Consents(ctx, accountID, of.ID)
	if err != nil {
		return recipient.Erasure{}, err
	}
	job.Consents = int64(len(consents))
	_, restricted, err := h.restriction(ctx, of)
	if err != nil {
		return recipient.Erasure{}, err
	}
	if err := h.Queue.Send(ctx, accountID, erasureID); err != nil {
		return recipient.Erasure{}, err
	}
	err = h.Recipients.Erase(ctx, of, job, restricted, api.AuditEvent(ctx))
	if errors.Is(err, recipient.ErrChanged) { // maybe by another request to erase
		return h.Recipients.ErasureOf(ctx, accountID, of.ID)
	}
	return job, err
}

// GetErasure answers GET /v1/erasures/{id}.
func (h *Handler) GetErasure(w http.ResponseWriter, r *http.Request) {
	job, err := recipient.Erasure{}, recipient.ErrNotFound
	if erasureID := r.PathValue("id"); id.Valid(id.ErasurePrefix, erasureID) {
		job, err = h.Recipients.Erasure(r.Context(), api.PrincipalFrom(r.Context()).AccountID, erasureID)
	}
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, erasureView(job))
}

func erasureView(job recipient.Erasure) api.Erasure {
	return api.Erasure{
		ID: job.ID, RecipientID: job.RecipientID, Status: api.ErasureStatus(job.Status), MessagesErased: job.Erased, MessagesCanceled: job.Canceled,
		RequestedAt: api.At(job.RequestedAt), CompletedAt: api.OptionalTime(job.CompletedAt), Certificate: job.Certificate,
	}
}
