package main

import (
	"net/http"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/api"
	"contactcenter/shared/recipient"
)

// optOutsAtOnce bounds how many recipients' opt-outs are read side by side.
const optOutsAtOnce = 8

// ListRecipients answers GET /v1/recipients.
func (h *Handler) ListRecipients(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	page.Size = min(page.Size, recipient.ListPage) // one batch of reads
	list, next, err := h.Recipients.List(r.Context(), api.PrincipalFrom(r.Context()).AccountID, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	items := make([]api.Recipient, len(list))
	group, ctx := errgroup.WithContext(r.Context())
	group.SetLimit(optOutsAtOnce)
	for i, of := range list {
		group.Go(func() error {
			optOuts, err := h.Recipients.OptOuts(ctx, of)
			items[i] = recipientView(of, optOuts)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.RecipientList{Items: items, NextPageToken: next})
}
