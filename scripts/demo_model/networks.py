"""The four components of the demo model, as diffusers and transformers classes."""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from diffusers.models.autoencoders import autoencoder_kl_cogvideox
from transformers import T5Config, T5EncoderModel

from .clips import FRAMES, HEIGHT, WIDTH

MAX_TEXT_LENGTH = 16
LATENT_CHANNELS = 16
LATENT_HEIGHT, LATENT_WIDTH = HEIGHT // 8, WIDTH // 8
LATENT_FRAMES = (FRAMES - 1) // 4 + 1
TEXT_WIDTH = 96


def make_vae():
    # The sample size only sets the tile of the tiled decoder: half of it must hold a whole
    # default clip and be a legal tile, hence 192x240.
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(16, 16, 32, 64),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=LATENT_CHANNELS,
        sample_height=192,
        sample_width=240,
        scaling_factor=1.0,
    )
    for name, module in vae.named_modules():
        if name.endswith("conv_y"):
            torch.nn.init.constant_(module.conv.bias, 1.0)
    return vae


def make_text_encoder(vocab_size):
    return T5EncoderModel(
        T5Config(
            vocab_size=vocab_size,
            d_model=TEXT_WIDTH,
            d_kv=32,
            num_heads=3,
            d_ff=2 * TEXT_WIDTH,
            num_layers=2,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            is_encoder_decoder=True,
            tie_word_embeddings=False,
        )
    )


def make_transformer(layers):
    return CogVideoXTransformer3DModel(
        num_attention_heads=3,
        attention_head_dim=64,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=layers,
        time_embed_dim=64,
        text_embed_dim=TEXT_WIDTH,
        max_text_seq_length=MAX_TEXT_LENGTH,
        sample_height=LATENT_HEIGHT,
        sample_width=LATENT_WIDTH,
        sample_frames=FRAMES,
        patch_size=2,
        temporal_compression_ratio=4,
        spatial_interpolation_scale=1.0,
        temporal_interpolation_scale=1.0,
        use_rotary_positional_embeddings=False,
        use_learned_positional_embeddings=False,
    )


def make_scheduler():
    return CogVideoXDDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        snr_shift_scale=1.0,
        set_alpha_to_one=True,
        clip_sample=False,
        steps_offset=0,
    )


def _spatial_norm_on_small_grid(self, f, zq, conv_cache=None):
    def enlarge(values):
        if f.shape[2] > 1 and f.shape[2] % 2 == 1:
            first = F.interpolate(values[:, :, :1], size=f[:, :, :1].shape[-3:])
            rest = F.interpolate(values[:, :, 1:], size=f[:, :, 1:].shape[-3:])
            return torch.cat([first, rest], dim=2)
        return F.interpolate(values, size=f.shape[-3:])

    scale, shift = self.conv_y.conv(zq), self.conv_b.conv(zq)
    return self.norm_layer(f) * enlarge(scale) + enlarge(shift), {"conv_y": None, "conv_b": None}


def speed_up_vae_decoder():
    """Run the spatial norms' 1x1 convolutions before the nearest enlargement: same result, less work."""
    autoencoder_kl_cogvideox.CogVideoXSpatialNorm3D.forward = _spatial_norm_on_small_grid
