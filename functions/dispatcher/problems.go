package main

import (
	"strings"

	"contactcenter/shared/message"
	"contactcenter/shared/provider"
)

func problemContentChanged() message.Problem {
	return message.Problem{Code: "content_changed", Detail: "The stored content is not what was accepted. It was not sent.", FaultDomain: string(provider.FaultPlatform), Permanent: true}
}

func problemChannel() message.Problem {
	return message.Problem{Code: "channel_inactive", Detail: "The channel was deactivated or deleted before the message was handed over.", FaultDomain: string(provider.FaultCustomer), Permanent: true}
}

func problemCredentials() message.Problem {
	return message.Problem{Code: "credentials_invalid", Detail: "The provider does not accept the credentials of the channel. Correct them with PATCH /v1/channels/{id}, then activate the channel again.", FaultDomain: string(provider.FaultCustomer), Permanent: true}
}

func problemRemoved() message.Problem {
	return message.Problem{Code: "provider_removed", Detail: "The channel's provider is no longer offered.", FaultDomain: string(provider.FaultPlatform), Permanent: true}
}

// problemCountry names the countries; none: the provider names none itself.
func problemCountry(outside []string) message.Problem {
	detail := "The channel's provider does not say to which countries it takes data."
	if len(outside) > 0 {
		detail = "The channel's provider takes data to " + strings.Join(outside, ", ") + ", where the account lets none go."
	}
	return message.Problem{Code: "transfer_country_not_allowed", Detail: detail, FaultDomain: string(provider.FaultCustomer), Permanent: true}
}

func problemNoAdapter() message.Problem {
	return message.Problem{Code: "provider_removed", Detail: "This deployment does not serve the channel's provider.", FaultDomain: string(provider.FaultPlatform), Permanent: true}
}

func problemLimit() message.Problem {
	return message.Problem{Code: "usage_limit_reached", Detail: "The number of messages that the account may send in the period, or that a restriction leaves it here, is used up.", FaultDomain: string(provider.FaultCustomer), Permanent: true}
}

func problemOutage() message.Problem {
	return message.Problem{Code: "provider_unavailable", Detail: "Nothing got through to the provider for a day.", FaultDomain: string(provider.FaultProvider), Permanent: false}
}

func problemUnknown() message.Problem {
	return message.Problem{Code: "outcome_unknown", Detail: "The provider may have taken the message and can't be asked. It is counted and not sent again.", FaultDomain: string(provider.FaultProvider), Permanent: true}
}

func problemOptedOut() message.Problem {
	return message.Problem{Code: "recipient_opted_out", Detail: "The recipient opted out of this channel before the message was handed over.", FaultDomain: string(provider.FaultRecipient), Permanent: true}
}

func problemAnswered() message.Problem {
	return message.Problem{Code: "invalid_request", Detail: "The message that this one answers is gone.", FaultDomain: string(provider.FaultCustomer), Permanent: true}
}
