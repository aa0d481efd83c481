module contactcenter

go 1.26.0

require (
	github.com/gowebpki/jcs v1.0.2
	pgregory.net/rapid v1.3.0
)
