package browsertest

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

// SavePNG writes a PNG with the 16 colours that serve its pixels best: half a byte a pixel, a third of the size, and for a page
// of text hardly to be told from the original.
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

// reduce gives each pixel the nearest of the colours of a palette of its own.
func reduce(img image.Image) *image.Paletted {
	count, b := map[color.RGBA]int{}, img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			count[rgba(img.At(x, y))]++
		}
	}
	small, nearest := image.NewPaletted(b, palette(count)), map[color.RGBA]uint8{}
	for c := range count {
		nearest[c] = uint8(small.Palette.Index(c))
	}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			small.SetColorIndex(x, y, nearest[rgba(img.At(x, y))])
		}
	}
	return small
}

// palette takes the most frequent colour, then again and again the one whose pixels are served worst by those it has: how
// many they are, times how far they are off.
func palette(count map[color.RGBA]int) (p color.Palette) {
	all := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { // so that a picture does not change by chance
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	off := make([]int, len(all))
	for i := range off {
		off[i] = count[all[i]]
	}
	for len(p) < min(16, len(all)) {
		worst := slices.Index(off, slices.Max(off))
		p = append(p, all[worst])
		for i, c := range all {
			if d := count[c] * distance(c, all[worst]); d < off[i] || len(p) == 1 {
				off[i] = d
			}
		}
	}
	return p
}

// distance is that of color.Palette.Index: the sum of squares.
func distance(a, b color.RGBA) int {
	r, g, bl := int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B)
	return r*r + g*g + bl*bl
}

func rgba(c color.Color) color.RGBA { return color.RGBAModel.Convert(c).(color.RGBA) }
