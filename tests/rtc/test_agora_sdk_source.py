"""The stand-in for Agora's SDK against the SDK's own source, which is read and never run."""

import ast
import sys
import tarfile
from pathlib import Path

import pytest
from attrs import define, field

STANDIN = Path(__file__).parents[1] / "standin" / "agora" / "rtc"
RELEASE = "agora_python_server_sdk-2.1.7"
TARBALL = Path(sys.prefix) / "agora-source" / f"{RELEASE}.tar.gz"
MODULES = sorted(path.stem for path in STANDIN.glob("*.py") if path.stem != "__init__")

LEFT_OUT = {
    "video": """
        VideoStreamType VideoCodecType TCcMode VideoTrackInfo RemoteVideoTrackStats
        LocalVideoTrackStats RemoteVideoStreamInfo VideoFrame VideoSubscriptionOptions
        VideoDimensions SenderOptions EncodedVideoFrameInfo VideoEncoderConfiguration
        ExternalVideoFrame SimulcastStreamConfig
        AgoraService.create_custom_video_track_frame
        AgoraService.create_custom_video_track_encoded
        LocalUser.get_video_map LocalUser.del_video_map LocalUser.set_remote_video_map
        LocalUser.get_remote_video_map LocalUser.del_remote_video_map LocalUser.publish_video
        LocalUser.unpublish_video LocalUser.register_video_encoded_frame_observer
        LocalUser.unregister_video_encoded_frame_observer LocalUser.register_video_frame_observer
        LocalUser.unregister_video_frame_observer LocalUser.subscribe_video
        LocalUser.subscribe_all_video LocalUser.unsubscribe_video LocalUser.unsubscribe_all_video
        LocalUser.send_intra_request
        IRTCLocalUserObserver.on_video_track_publish_success
        IRTCLocalUserObserver.on_video_track_publish_start
        IRTCLocalUserObserver.on_video_track_unpublished
        IRTCLocalUserObserver.on_video_track_publication_failure
        IRTCLocalUserObserver.on_local_video_track_state_changed
        IRTCLocalUserObserver.on_local_video_track_statistics
        IRTCLocalUserObserver.on_user_video_track_subscribed
        IRTCLocalUserObserver.on_user_video_track_state_changed
        IRTCLocalUserObserver.on_remote_video_track_statistics
        IRTCLocalUserObserver.on_remote_video_stream_info_updated
        IRTCLocalUserObserver.on_video_subscribe_state_changed
        IRTCLocalUserObserver.on_video_publish_state_changed
        IRTCLocalUserObserver.on_first_remote_video_frame
        IRTCLocalUserObserver.on_first_remote_video_decoded
        IRTCLocalUserObserver.on_first_remote_video_frame_rendered
        IRTCLocalUserObserver.on_video_size_changed
        MediaNodeFactory.create_video_frame_sender
        MediaNodeFactory.create_video_encoded_image_sender
    """,
    "audio that is encoded already": """
        AudioCodecType AudioProfileType AudioEncoderConfiguration EncodedAudioFrameInfo
        AgoraService.create_custom_audio_track_encoded LocalUser.set_audio_encoder_configuration
        MediaNodeFactory.create_audio_encoded_frame_sender
    """,
    "statistics": """
        LastmileProbeOneWayResult LastmileProbeResult RTCStats LocalAudioStats
        RemoteAudioTrackStats AudioVolumeInfo AnaStats AudioProcessingStats
        LocalAudioDetailedStats LocalUser.get_local_audio_statistics
        LocalUser.set_audio_volume_indication_parameters LocalAudioTrack.get_state
    """,
    "frames that are pulled, mixed or recorded": """
        RawAudioFrameOpModeType AudioFramePosition AudioPcmDataInfo
        LocalUser.set_playback_audio_frame_parameters LocalUser.set_mixed_audio_frame_parameters
        LocalUser.set_recording_audio_frame_parameters
    """,
    "devices and volumes, which a server has not": """
        LocalUser.adjust_playback_signal_volume LocalUser.get_playback_signal_volume
        LocalAudioTrack.adjust_publish_volume LocalAudioTrack.get_publish_volume
        LocalAudioTrack.enable_local_playback LocalAudioTrack.enable_ear_monitor
    """,
    "the SDK's own bookkeeping": """
        LocalUser.get_audio_map LocalUser.set_remote_audio_map LocalUser.get_remote_audio_map
        LocalUser.del_remote_audio_map LocalUser.get_remote_audio_track
    """,
    "nobody changes the role, or sends control packets": """
        LocalUser.set_user_role LocalUser.get_user_role LocalUser.get_media_control_packet_sender
        LocalUser.register_media_control_packet_receiver
        LocalUser.unregister_media_control_packet_receiver
    """,
    "settings that nobody reads back": """
        AgoraParameter.set_uint AgoraParameter.set_number AgoraParameter.set_array
        AgoraParameter.get_int AgoraParameter.get_bool AgoraParameter.get_uint
        AgoraParameter.get_number AgoraParameter.get_string AgoraParameter.get_array
        AgoraParameter.get_object AgoraParameter.convert_path
    """,
}
MODULES_LEFT_OUT = {
    "video": """
        local_video_track remote_video_track video_encoded_frame_observer
        video_encoded_image_sender video_frame_observer video_frame_sender
    """,
    "audio that is encoded already, and other people's tracks": """
        audio_encoded_frame_sender remote_audio_track
    """,
    "voice activity detection, which the wrapper leaves off": """
        audio_vad_manager voice_detection audio_sessionctrl
    """,
}
ADDED: dict[str, str] = {}
"""On purpose: by name, why."""


@define
class Shape:
    """A class as those see it who use it: its public methods, its values, what kind it is."""

    methods: dict[str, str] = field(factory=dict)
    values: dict[str, str] = field(factory=dict)
    kind: list[str] = field(factory=list)


def parameters(function: ast.FunctionDef) -> str:
    """Names, order, kinds and defaults; not the types, of which the SDK has few."""
    for argument in ast.walk(function.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return ast.unparse(function.args)


def shape(node: ast.ClassDef) -> Shape:
    found = Shape()
    is_value = any("dataclass" in ast.unparse(each) for each in node.decorator_list)
    is_enum = any(ast.unparse(base) == "IntEnum" for base in node.bases)
    found.kind = [ast.unparse(each) for each in node.decorator_list] + ["IntEnum"] * is_enum
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and (part.name[0] != "_" or part.name == "__init__"):
            found.methods[part.name] = parameters(part)
        elif isinstance(part, ast.Assign) and is_enum:
            found.values[ast.unparse(part.targets[0])] = str(ast.literal_eval(part.value))
        elif isinstance(part, ast.AnnAssign) and is_value:
            default = "needed" if part.value is None else ast.unparse(part.value)
            found.values[ast.unparse(part.target)] = default
    return found


def classes(source: str) -> dict[str, Shape]:
    return {
        node.name: shape(node) for node in ast.parse(source).body if isinstance(node, ast.ClassDef)
    }


@pytest.fixture(scope="module")
def sdk() -> dict[str, dict[str, Shape]]:
    """The SDK's classes, by module."""
    assert TARBALL.is_file(), f"the SDK's source is not at {TARBALL}: run `make test`"
    found = {}
    with tarfile.open(TARBALL) as archive:
        for module in MODULES:
            file = archive.extractfile(f"{RELEASE}/agora/rtc/{module}.py")
            assert file is not None
            found[module] = classes(file.read().decode())
    return found


@pytest.fixture(scope="module")
def standin() -> dict[str, dict[str, Shape]]:
    return {module: classes((STANDIN / f"{module}.py").read_text()) for module in MODULES}


def compared(name: str, ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """What differs between two sets of named things."""
    return [
        f"{name}.{each}: {ours.get(each, 'missing')}, the SDK has {theirs.get(each, 'nothing')}"
        for each in sorted(ours.keys() | theirs.keys())
        if ours.get(each) != theirs.get(each)
    ]


def left_out() -> set[str]:
    return {name for names in LEFT_OUT.values() for name in names.split()}


def test_the_sdk_has_what_the_standin_has(
    sdk: dict[str, dict[str, Shape]], standin: dict[str, dict[str, Shape]]
) -> None:
    differences = []
    for module in MODULES:
        for name, ours in standin[module].items():
            theirs = sdk[module].get(name, Shape(kind=["no such class"]))
            same = {each: theirs.methods.get(each, "nothing") for each in ours.methods}
            if ours.kind != theirs.kind:
                differences.append(f"{name}: {ours.kind}, the SDK has {theirs.kind}")
            differences += compared(name, ours.methods, same)
            differences += compared(name, ours.values, theirs.values)
    assert [each for each in differences if each.split(":")[0] not in ADDED] == []


def test_what_the_standin_lacks_is_listed(
    sdk: dict[str, dict[str, Shape]], standin: dict[str, dict[str, Shape]]
) -> None:
    lacking = set()
    for module in MODULES:
        for name, theirs in sdk[module].items():
            ours = standin[module].get(name)
            if ours is None:
                lacking.add(name)
                continue
            lacking |= {f"{name}.{each}" for each in theirs.methods if each not in ours.methods}
    lacking = {each for each in lacking if not each.endswith(".__init__")}
    assert sorted(lacking - left_out()) == [], "neither there nor in LEFT_OUT"
    assert sorted(left_out() - lacking) == [], "in LEFT_OUT for nothing"


def test_the_modules_that_the_standin_lacks_are_listed() -> None:
    with tarfile.open(TARBALL) as archive:
        paths = [Path(name) for name in archive.getnames()]
    folder = Path(RELEASE, "agora", "rtc")
    theirs = {path.stem for path in paths if path.parent == folder and path.suffix == ".py"}
    listed = {name for names in MODULES_LEFT_OUT.values() for name in names.split()}
    assert sorted(theirs - set(MODULES) - {"__init__"}) == sorted(listed)
