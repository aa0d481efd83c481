# For `sam build` only, which calls build-<LogicalId> with ARTIFACTS_DIR (BuildMethod: makefile). SAM's own Go builder
# strips nothing and knows no tags; these are the flags of a small binary for arm64.

# The folder of a function is its logical id without "Function", in small letters.
folder = $(shell echo $(patsubst build-%Function,%,$@) | tr A-Z a-z)

build-%:
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -tags lambda.norpc -o $(ARTIFACTS_DIR)/bootstrap ./functions/$(folder)
