// How events are shown: each kind paints an event x, a flat array, into a box of a canvas.
//
// A display has `pictures`, false for words, which are shown as such but in the map; `tiles`,
// how many a map has at most, across and up; and `size(role)`, the pixels of a box whose role
// is "output", "thumb" or "tile". One with `rows` is listed too, by name and value.

const SMALL = 16;

/** The display for what explorer.json says of the events. */
export function displayOf({ display, event_shape: shape }) {
  return new DISPLAYS[display.kind](display, shape);
}

class Image {
  pictures = true;

  constructor({ low, high }, shape) {
    [this.height, this.width] = shape;
    this.channels = shape.length === 3 ? shape[2] : 1;
    this.small = this.width < SMALL;
    const most = this.small ? 9 : Math.max(4, Math.min(15, Math.floor(1024 / this.width)));
    this.tiles = [most, most];
    this.low = low;
    this.high = high;
  }

  size(role) {
    const gap = role === "tile" && this.small ? 1 : 0; // else they run into each other
    return [this.width + gap, this.height + gap];
  }

  paint(context, x, left = 0, top = 0) {
    const image = context.createImageData(this.width, this.height);
    const scale = 255 / (this.high - this.low);
    for (let pixel = 0; pixel < this.width * this.height; pixel += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const value = x[pixel * this.channels + (this.channels === 3 ? channel : 0)];
        image.data[4 * pixel + channel] = (value - this.low) * scale; // clamped and rounded
      }
      image.data[4 * pixel + 3] = 255;
    }
    context.putImageData(image, left, top);
  }
}

class Plot {
  pictures = true;
  tiles = [7, 7];

  constructor({ low, high }, shape) {
    this.curves = shape.length === 2 ? shape[1] : 1;
    this.low = low;
    this.high = high;
  }

  size(role) {
    return { output: [720, 400], thumb: [120, 80], tile: [120, 88] }[role];
  }

  paint(context, x, left = 0, top = 0, role = "output") {
    const [width, height] = this.size(role);
    const style = getComputedStyle(context.canvas);
    const margin = role === "output" ? 16 : 8;
    const box = {
      x: (share) => left + margin + share * (width - 2 * margin),
      y: (value) => {
        const share = (value - this.low) / (this.high - this.low);
        return top + height - margin - Math.min(Math.max(share, 0), 1) * (height - 2 * margin);
      },
    };
    context.clearRect(left, top, width, height);
    context.lineWidth = role === "output" ? 3 : 1.5;
    context.lineJoin = "round";
    const zero = Math.min(Math.max(0, this.low), this.high);
    context.strokeStyle = style.getPropertyValue("--line");
    context.beginPath();
    context.moveTo(box.x(0), box.y(zero));
    context.lineTo(box.x(1), box.y(zero));
    context.stroke();
    this.marks(context, x, box, zero, style);
  }
}

class Lines extends Plot {
  marks(context, x, box, zero, style) {
    const steps = x.length / this.curves;
    for (let curve = 0; curve < this.curves; curve += 1) {
      context.strokeStyle = style.getPropertyValue(`--curve-${curve % 4}`);
      context.beginPath();
      for (let step = 0; step < steps; step += 1) {
        const value = x[step * this.curves + curve];
        context.lineTo(box.x(step / Math.max(steps - 1, 1)), box.y(value));
      }
      context.stroke();
    }
  }
}

class Bars extends Plot {
  marks(context, x, box, zero, style) {
    context.fillStyle = style.getPropertyValue("--curve-0");
    const step = (box.x(1) - box.x(0)) / x.length;
    const gap = Math.min(0.2 * step, 6);
    x.forEach((value, index) => {
      const top = Math.min(box.y(value), box.y(zero));
      const height = Math.abs(box.y(value) - box.y(zero));
      context.fillRect(box.x(0) + index * step + gap / 2, top, step - gap, Math.max(height, 1));
    });
  }
}

// A row of a table. Its bars have their own ends each, for columns have units of their own.
class Table extends Bars {
  constructor({ columns, low, high }, shape) {
    super({ low: 0, high: 1 }, shape);
    this.columns = columns;
    this.share = (value, i) => (value - low[i]) / (high[i] - low[i]);
  }

  paint(context, x, left, top, role) {
    super.paint(context, x.map(this.share), left, top, role);
  }

  /** The event in words: name and value of each column. */
  rows(x) {
    return this.columns.map((name, i) => [name, inWords(x[i])]);
  }
}

// Four digits, or all of those before the point.
function inWords(value) {
  const rounded = Math.abs(value) < 1000 ? Number(value.toPrecision(4)) : Math.round(value);
  return String(rounded).replace("-", "\u2212");
}

class Text {
  pictures = false;
  tiles = [4, 9];

  constructor({ vocabulary, end }) {
    this.vocabulary = vocabulary;
    this.end = end; // the token after which a text is over; null if there is none
  }

  size() {
    return [220, 88];
  }

  paint(context, x, left, top) {
    const [width, height] = this.size();
    const style = getComputedStyle(context.canvas);
    context.clearRect(left, top, width, height);
    context.fillStyle = style.color;
    context.font = `26px ${style.fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const words = this.words(x);
    const shown = words.length > 16 ? `${words.slice(0, 15)}\u2026` : words;
    context.fillText(shown, left + width / 2, top + height / 2, width - 16);
  }

  /** The event in words. */
  words(x) {
    const tokens = Array.from(x, Math.round);
    const stop = tokens.indexOf(this.end);
    const words = (stop < 0 ? tokens : tokens.slice(0, stop)).map((n) => this.vocabulary[n]);
    return words.join(this.vocabulary.every((word) => [...word].length <= 1) ? "" : " ");
  }
}

const DISPLAYS = {
  image: Image,
  line: Lines,
  bars: Bars,
  table: Table,
  audio: Lines,
  text: Text,
};
