package main

import (
	"net/http"
	"slices"
	"testing"

	"contactcenter/shared/event"
	"contactcenter/shared/event/eventtest"
)

func TestChangesOfChannelsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	eventtest.Listen(t, w.accounts, "acct_1")
	c := w.User("acct_1", "user_7")
	path := "/v1/channels/" + w.create(t, c)
	c.Do(http.MethodPatch, path, `{"name":"another"}`).Want(t, "rename", http.StatusOK, "")
	c.Do(http.MethodPatch, path, `{"name":"another"}`).Want(t, "the same name", http.StatusOK, "")
	c.Do(http.MethodPost, path+"/activate", `{"rules_version":"2026-11-01","provider_terms_version":"2026-01","transfer_countries":["CY","DE"]}`).Want(t, "activate", http.StatusOK, "")
	c.Do(http.MethodPost, path+"/deactivate", "").Want(t, "deactivate", http.StatusOK, "")
	c.Do(http.MethodPost, path+"/deactivate", "").Want(t, "deactivate again", http.StatusOK, "")
	if got := w.told.Types(); !slices.Equal(got, []event.Type{event.ChannelUpdated, event.ChannelActivated, event.ChannelDeactivated}) {
		t.Errorf("%v", got)
	}
}
