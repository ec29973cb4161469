package browser

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var updateScreenshots = flag.Bool("update-screenshots", false, "take the screenshots of the documentation anew")

// Screenshot is the whole page as PNG, as wide as the viewport and at least as high.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	var shot []byte
	p.do("taking a screenshot", func(ctx context.Context) error {
		size, err := chromedp.Call(ctx, page.GetLayoutMetrics, cdp.Empty{})
		if err != nil {
			return err
		}
		beyond := true
		res, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
			CaptureBeyondViewport: &beyond,
			Clip:                  &page.Viewport{Width: size.CSSContentSize.Width, Height: size.CSSContentSize.Height, Scale: 1},
		})
		shot = res.Data
		return err
	})
	return shot
}

// Document keeps a screenshot for the documentation in the file of that name (its directory is made): with the flag
// -update-screenshots it is taken anew, else the test fails if there is none. SavePNG makes it small.
func (p *Page) Document(file string) {
	p.t.Helper()
	if *updateScreenshots {
		SavePNG(p.t, file, p.Screenshot())
	} else if _, err := os.Stat(file); err != nil {
		p.t.Errorf("browser: %v: run with -update-screenshots, and look at it", err)
	}
}

// SavePNG writes a PNG with at most 256 colours, those that it uses most, which for a page of text cannot be told from
// the original and takes a third of the space.
func SavePNG(t testing.TB, file string, shot []byte) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatalf("browser: reading a screenshot: %v", err)
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, reduce(img)); err != nil {
		t.Fatalf("browser: writing %s: %v", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, small.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// reduce gives each pixel the nearest of the most frequent colours.
func reduce(img image.Image) *image.Paletted {
	count := map[color.RGBA]int{}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			count[rgba(img.At(x, y))]++
		}
	}
	often := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	palette := color.Palette{}
	for _, c := range often[:min(len(often), 256)] {
		palette = append(palette, c)
	}
	small, nearest := image.NewPaletted(b, palette), map[color.RGBA]uint8{}
	for _, c := range often {
		nearest[c] = uint8(palette.Index(c))
	}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			small.SetColorIndex(x, y, nearest[rgba(img.At(x, y))])
		}
	}
	return small
}

func rgba(c color.Color) color.RGBA { return color.RGBAModel.Convert(c).(color.RGBA) }
